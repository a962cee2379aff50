//! The dev lane: drivers and devices.
//!
//! Owns loading kernel modules for the devices that are there (coldplug) and that come
//! later (uevents), and finding what the cluster file asks for among them: NICs, serial
//! lines, the watchdog, the power button, the kernel's last words of an earlier boot; and how
//! hard the machine is pressed for memory.
//! Devices are opened here and handed to PID 1, because opening and setting one may
//! wait for its hardware.
//!
//! The watchdog's drivers come first, so that it counts before anything else may hang; then
//! the NICs', because the other node is waiting to be heard.

mod button;
mod crash;
mod pressure;
mod watchdog;

use std::collections::{HashSet, VecDeque};
use std::fs;
use std::path::Path;
use std::time::Duration;

use kodo_sys::netlink::Events;
use kodo_sys::poll::{Interest, Poller, Ready};
use kodo_sys::{AsFd, Result, clock};

use self::button::Buttons;
use self::pressure::Pressure;
use self::watchdog::Search;
use super::index::{Index, Kind};
use super::uevent::Uevent;
use super::{Link, children};
use crate::wire::{FromDev, LineSetup, Nic, ToDev};

const KEY_PID1: u64 = 0;
const KEY_UEVENTS: u64 = 1;
/// Plus the button's number.
const KEY_BUTTON: u64 = 0x100;

/// Bytes of uevents kept while a driver loads.
const UEVENT_BUFFER: usize = 4 << 20;
/// How long after coldplug a watchdog may still appear: some hang below a slow bus.
const GRACE: Duration = Duration::from_secs(3);
const ENODEV: i32 = 19;
const ENXIO: i32 = 6;

/// Drivers that no alias asks for, loaded where the condition names an existing path.
const UNASKED: [(&str, &str); 2] = [
    ("/proc", "af_packet"),
    ("/sys/firmware/efi/efivars", "efi_pstore"),
];

/// Runs until PID 1 is gone.
pub(crate) fn run() -> Result<()> {
    let pid1 = Link::inherit("kodo-dev")?;
    let release = kodo_sys::machine::kernel_release();
    let index = Index::open(&Path::new("/lib/modules").join(release));
    Lane::new(pid1, index)?.serve()
}

struct Lane {
    pid1: Link,
    poller: Poller,
    uevents: Events,
    index: Index,
    /// Modules to load, and modalias strings seen.
    work: VecDeque<String>,
    wanted: HashSet<String>,
    aliases: HashSet<String>,
    loaded: usize,
    started: Duration,
    settled: Option<Duration>,
    nics: HashSet<u32>,
    lines: Vec<(LineSetup, bool)>,
    search: Option<Search>,
    /// A watchdog was found.
    guarded: bool,
    buttons: Buttons,
    pressure: Pressure,
}

impl Lane {
    fn new(pid1: Link, index: Index) -> Result<Lane> {
        let poller = Poller::new()?;
        // Before the first look at sysfs, so that nothing falls in between.
        let uevents = Events::devices(UEVENT_BUFFER)?;
        poller.add(&pid1, KEY_PID1, Interest::Read)?;
        poller.add(&uevents, KEY_UEVENTS, Interest::Read)?;
        Ok(Lane {
            pid1,
            poller,
            uevents,
            index,
            work: VecDeque::new(),
            wanted: HashSet::new(),
            aliases: HashSet::new(),
            loaded: 0,
            started: clock::boottime(),
            settled: None,
            nics: HashSet::new(),
            lines: Vec::new(),
            search: None,
            guarded: false,
            buttons: Buttons::default(),
            pressure: Pressure::new(clock::boottime()),
        })
    }

    fn serve(&mut self) -> Result<()> {
        if let Some(why) = self.index.trouble.take() {
            self.trouble(&why)?;
        }
        self.look_at_everything()?;
        let mut ready = Ready::new();
        loop {
            let timeout = match (self.work.is_empty(), self.search.as_ref()) {
                (false, _) => Some(Duration::ZERO),
                (true, Some(search)) => search.wake_in(clock::boottime()),
                (true, None) => None,
            };
            let look = self.pressure.wake_in(clock::boottime());
            let timeout = Some(timeout.map_or(look, |timeout| timeout.min(look)));
            self.poller.wait(&mut ready, timeout)?;
            for wake in ready.iter() {
                match wake.key {
                    KEY_PID1 => {
                        let Some((
                            ToDev::Setup {
                                lines,
                                watchdog,
                                softdog,
                            },
                            _,
                        )) = self.pid1.receive()?
                        else {
                            return Ok(());
                        };
                        self.lines = lines.into_iter().map(|line| (line, false)).collect();
                        self.search = Some(Search::new(watchdog, softdog));
                        self.open_lines()?;
                    }
                    KEY_UEVENTS => self.uevents()?,
                    key if wake.gone => {
                        if let Some(button) = self.buttons.take(key - KEY_BUTTON) {
                            self.poller.remove(&button)?;
                        }
                    }
                    key => {
                        if self.buttons.pressed(key - KEY_BUTTON) {
                            self.pid1.send(&FromDev::PowerButton, None)?;
                        }
                    }
                }
            }
            self.load_one()?;
            self.look_for_watchdog()?;
            if let Some(health) = self.pressure.look(clock::boottime()) {
                self.pid1.send(&FromDev::Health(health), None)?;
            }
        }
    }

    /// Takes stock of what the kernel knows now: at the start, and after lost uevents.
    fn look_at_everything(&mut self) -> Result<()> {
        for bus in children(Path::new("/sys/bus")) {
            for device in children(&bus.join("devices")) {
                // Present as a file on every bus that has drivers to load.
                if let Ok(alias) = fs::read_to_string(device.join("modalias")) {
                    self.want_for(alias.trim());
                }
            }
        }
        for (condition, module) in UNASKED {
            if Path::new(condition).exists() {
                self.want(module);
            }
        }
        for nic in children(Path::new("/sys/class/net")) {
            self.nic(&nic)?;
        }
        for input in children(Path::new("/sys/class/input")) {
            self.input(&input)?;
        }
        self.open_lines()
    }

    fn uevents(&mut self) -> Result<()> {
        let mut buffer = [0; 8192];
        loop {
            let len = match self.uevents.receive(&mut buffer) {
                Ok(len) => len,
                Err(error) if kodo_sys::would_block(&error) => return Ok(()),
                // Lost: the present state tells what was in them.
                Err(_) => return self.look_at_everything(),
            };
            let Some(event) = Uevent::parse(&buffer[..len]) else {
                continue;
            };
            if let (true, Some(alias)) = (event.added, event.modalias) {
                self.want_for(alias);
            }
            let device = Path::new("/sys").join(event.path.trim_start_matches('/'));
            match (event.subsystem, event.added) {
                ("net", true) => self.nic(&device)?,
                ("net", false) => {
                    if let Some(index) = event.index {
                        self.nics.remove(&index);
                    }
                }
                ("input", true) => self.input(&device)?,
                ("tty", true) => self.open_lines()?,
                ("tty", false) => self.lost_line(event.name)?,
                _ => {}
            }
        }
    }

    /// Notes the modules for a device.
    fn want_for(&mut self, alias: &str) {
        if alias.is_empty() || !self.aliases.insert(alias.to_owned()) {
            return;
        }
        let modules: Vec<String> = self.index.modules_for(alias).map(str::to_owned).collect();
        for module in modules {
            self.want(&module);
        }
    }

    fn want(&mut self, module: &str) {
        // Disks have a lane of their own: finding one may hang.
        let disk = self.index.kind(module) == Kind::Disk;
        if disk || !self.index.has(module) || !self.wanted.insert(module.to_owned()) {
            return;
        }
        let kind = self.index.kind(module);
        let later = |other: &String| self.index.kind(other) > kind;
        let place = self.work.iter().position(later).unwrap_or(self.work.len());
        self.work.insert(place, module.to_owned());
    }

    fn load_one(&mut self) -> Result<()> {
        let Some(module) = self.work.pop_front() else {
            return self.settle();
        };
        if self.guarded && self.index.kind(&module) == Kind::Watchdog {
            // One is enough, and drivers take their time.
            return Ok(());
        }
        for name in self.index.with_dependencies(&module) {
            match self.index.load(&name) {
                Ok(true) => self.loaded += 1,
                Ok(false) => {}
                // A driver that finds nothing to drive.
                Err(error) if matches!(kodo_sys::errno(&error), ENODEV | ENXIO) => {}
                Err(error) => {
                    self.trouble(&format!("module {name} does not load: {error}"))?;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Nothing is left to load: said once.
    fn settle(&mut self) -> Result<()> {
        // Events of the last module may still be on their way.
        if self.settled.is_some() {
            return Ok(());
        }
        self.uevents()?;
        if !self.work.is_empty() {
            return Ok(());
        }
        let now = clock::boottime();
        self.settled = Some(now);
        self.pid1.send(
            &FromDev::Settled {
                modules: self.loaded,
                took: now.saturating_sub(self.started),
            },
            None,
        )?;
        for words in crash::last_words(Path::new("/sys/fs/pstore")) {
            self.pid1.send(&FromDev::LastWords(words), None)?;
        }
        Ok(())
    }

    fn nic(&mut self, device: &Path) -> Result<()> {
        if let Some(nic) = describe(device)
            && self.nics.insert(nic.index)
        {
            self.pid1.send(&FromDev::Nic(nic), None)?;
        }
        Ok(())
    }

    fn input(&mut self, device: &Path) -> Result<()> {
        if let Some((number, button)) = self.buttons.open(device) {
            self.poller
                .add(button, KEY_BUTTON + number, Interest::Read)?;
        }
        Ok(())
    }

    /// Opens the wanted lines that are there and not open yet.
    fn open_lines(&mut self) -> Result<()> {
        for position in 0..self.lines.len() {
            let (setup, open) = &self.lines[position];
            let path = Path::new("/dev").join(&setup.device);
            if *open || !path.exists() {
                continue;
            }
            let line = setup.line;
            match kodo_sys::tty::open_raw(&path, setup.baud) {
                Ok(tty) => {
                    self.lines[position].1 = true;
                    self.pid1.send(&FromDev::Line(line), Some(tty.as_fd()))?;
                }
                Err(error) => self.trouble(&format!("{}: {error}", path.display()))?,
            }
        }
        Ok(())
    }

    fn lost_line(&mut self, name: Option<&str>) -> Result<()> {
        for (setup, open) in &mut self.lines {
            if *open && name == Some(setup.device.as_str()) {
                *open = false;
                let line = setup.line;
                self.pid1.send(&FromDev::LineGone(line), None)?;
            }
        }
        Ok(())
    }

    fn look_for_watchdog(&mut self) -> Result<()> {
        let Some(search) = &mut self.search else {
            return Ok(());
        };
        let now = clock::boottime();
        let late = self.settled.is_some_and(|at| now >= at + GRACE);
        match search.look(now, self.settled.is_some(), late, &mut self.index) {
            watchdog::Found::Nothing => {}
            watchdog::Found::Device {
                name,
                granted,
                caused_last_reset,
                through_helper,
                descriptor,
            } => {
                self.search = None;
                self.guarded = true;
                let found = FromDev::Watchdog {
                    name,
                    granted,
                    caused_last_reset,
                    through_helper,
                };
                self.pid1.send(&found, Some(descriptor.as_fd()))?;
            }
            watchdog::Found::None(why) => {
                self.search = None;
                self.pid1.send(&FromDev::NoWatchdog(why), None)?;
            }
        }
        Ok(())
    }

    fn trouble(&mut self, text: &str) -> Result<()> {
        self.pid1.send(&FromDev::Trouble(text.into()), None)
    }
}

/// An Ethernet NIC of real (or emulated) hardware; `None` for loopback, bridges and such.
fn describe(device: &Path) -> Option<Nic> {
    const ETHERNET: &str = "1";
    let read = |file: &str| {
        fs::read_to_string(device.join(file))
            .map(|text| text.trim().to_owned())
            .ok()
    };
    if read("type")? != ETHERNET || !device.join("device").exists() {
        return None;
    }
    Some(Nic {
        name: device.file_name()?.to_str()?.to_owned(),
        index: read("ifindex")?.parse().ok()?,
        mac: parse_mac(&read("address")?)?,
        pci: fs::canonicalize(device)
            .ok()
            .and_then(|path| pci_address(&path)),
    })
}

fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

/// The innermost PCI function (`0000:00:03.0`) on the way to a device.
fn pci_address(path: &Path) -> Option<String> {
    let is_address = |name: &str| {
        let b = name.as_bytes();
        b.len() == 12
            && (b[4], b[7], b[10]) == (b':', b':', b'.')
            && b.iter()
                .enumerate()
                .all(|(i, c)| matches!(i, 4 | 7 | 10) || c.is_ascii_hexdigit())
    };
    let mut names = path.iter().rev().filter_map(|name| name.to_str());
    names.find(|name| is_address(name)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_pci_function_is_the_nic_s() {
        let path = Path::new("/sys/devices/pci0000:00/0000:00:1c.0/0000:02:00.1/virtio3/net/eth0");
        assert_eq!(pci_address(path).as_deref(), Some("0000:02:00.1"));
        assert_eq!(pci_address(Path::new("/sys/devices/virtual/net/lo")), None);
    }

    #[test]
    fn hardware_addresses() {
        assert_eq!(
            parse_mac("52:54:00:00:01:02"),
            Some([0x52, 0x54, 0, 0, 1, 2])
        );
        for wrong in [
            "",
            "52:54:00:00:01",
            "52:54:00:00:01:02:03",
            "52:54:00:00:01:zz",
        ] {
            assert_eq!(parse_mac(wrong), None, "{wrong}");
        }
    }
}
