//! One message of the kernel's device events (`Documentation/ABI`, kobject_uevent.c).

/// What matters of an event. The rest of its keys is skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uevent<'a> {
    /// A device appeared (or asks to be looked at again); false: it went away.
    pub(crate) added: bool,
    /// Its path below `/sys`.
    pub(crate) path: &'a str,
    /// Its class or bus.
    pub(crate) subsystem: &'a str,
    /// Which driver it wants.
    pub(crate) modalias: Option<&'a str>,
    /// Its name below `/dev`.
    pub(crate) name: Option<&'a str>,
    /// Of a NIC.
    pub(crate) index: Option<u32>,
}

impl<'a> Uevent<'a> {
    /// Reads a message; `None` for what is no event of the kernel or says neither.
    pub(crate) fn parse(message: &'a [u8]) -> Option<Uevent<'a>> {
        let mut event = Uevent::default();
        let mut action = None;
        for part in message.split(|byte| *byte == 0) {
            let Some((key, value)) = std::str::from_utf8(part)
                .ok()
                .and_then(|text| text.split_once('='))
            else {
                continue;
            };
            match key {
                "ACTION" => action = Some(value),
                "DEVPATH" => event.path = value,
                "SUBSYSTEM" => event.subsystem = value,
                "MODALIAS" => event.modalias = Some(value),
                "DEVNAME" => event.name = Some(value),
                "IFINDEX" => event.index = value.parse().ok(),
                _ => {}
            }
        }
        event.added = match action? {
            "add" | "change" | "move" => true,
            "remove" => false,
            _ => return None,
        };
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_its_keys() {
        let message =
            b"add@/devices/x/net/eth0\0ACTION=add\0DEVPATH=/devices/x/net/eth0\0SUBSYSTEM=net\0\
            INTERFACE=eth0\0IFINDEX=2\0SEQNUM=7\0";
        let event = Uevent::parse(message).unwrap();
        assert_eq!(
            (event.added, event.subsystem, event.index),
            (true, "net", Some(2))
        );
        assert_eq!(event.path, "/devices/x/net/eth0");
        let gone = Uevent::parse(
            b"remove@/x\0ACTION=remove\0DEVPATH=/x\0SUBSYSTEM=tty\0DEVNAME=ttyUSB0\0",
        )
        .unwrap();
        assert_eq!((gone.added, gone.name), (false, Some("ttyUSB0")));
    }

    #[test]
    fn what_is_no_event_is_nothing() {
        for message in [
            &b""[..],
            b"libudev\0\xfe\xed\xca\xfe",
            b"ACTION=bind\0",
            b"DEVPATH=/x\0",
            &[0xff; 40],
        ] {
            assert_eq!(Uevent::parse(message), None);
        }
    }
}
