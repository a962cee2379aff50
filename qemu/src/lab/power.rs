//! The machines' switches and buttons.

use std::sync::Arc;

use serde_json::Value;

use super::Lab;
use crate::error::Result;
use crate::journal::Event;
use crate::machine::MachineState;

impl Lab {
    /// What a machine is up to.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn machine(&self, node: &str) -> Result<MachineState> {
        Ok(self.machine_named(node)?.state())
    }

    /// Switches a machine on; on already is fine.
    ///
    /// # Errors
    /// When there is no such node or QEMU does not start.
    pub fn power_on(&self, node: &str) -> Result<()> {
        let machine = self.machine_named(node)?;
        self.act(format!("power on {node}"));
        machine.power_on()
    }

    /// Switches all machines on at once.
    ///
    /// # Errors
    /// The first machine's that does not start.
    pub fn power_on_all(&self) -> Result<()> {
        self.act("power on all".to_owned());
        std::thread::scope(|scope| {
            let starts: Vec<_> = self
                .machines
                .iter()
                .map(|machine| scope.spawn(|| machine.power_on()))
                .collect();
            starts.into_iter().try_for_each(|start| match start.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })
    }

    /// Takes a machine's current away; off already is fine.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn power_off(&self, node: &str) -> Result<()> {
        let machine = self.machine_named(node)?;
        self.act(format!("power off {node}"));
        machine.power_off("no current".to_owned())
    }

    /// Presses a machine's reset button.
    ///
    /// # Errors
    /// When there is no such node or it is off.
    pub fn reset(&self, node: &str) -> Result<()> {
        self.tell(node, "reset", "system_reset")
    }

    /// Presses a machine's power button, which its system may answer by shutting down.
    ///
    /// # Errors
    /// When there is no such node or it is off.
    pub fn button(&self, node: &str) -> Result<()> {
        self.tell(node, "button", "system_powerdown")
    }

    /// Sends a machine a non-maskable interrupt.
    ///
    /// # Errors
    /// When there is no such node or it is off.
    pub fn nmi(&self, node: &str) -> Result<()> {
        self.tell(node, "nmi", "inject-nmi")
    }

    /// Stops a machine together with its clocks, as a hypervisor does.
    ///
    /// # Errors
    /// When there is no such node or it is off.
    pub fn pause(&self, node: &str) -> Result<()> {
        self.tell(node, "pause", "stop")
    }

    /// Lets a paused machine go on.
    ///
    /// # Errors
    /// When there is no such node or it is off.
    pub fn resume(&self, node: &str) -> Result<()> {
        self.tell(node, "resume", "cont")
    }

    /// Stops a machine's whole emulator while time goes on for it.
    ///
    /// # Errors
    /// When there is no such node or it is off.
    pub fn stall(&self, node: &str) -> Result<()> {
        self.signal(node, true)
    }

    /// Lets a stalled machine go on.
    ///
    /// # Errors
    /// When there is no such node or it is off.
    pub fn unstall(&self, node: &str) -> Result<()> {
        self.signal(node, false)
    }

    /// Tells a machine's QEMU anything.
    ///
    /// # Errors
    /// When there is no such node, it is off, or QEMU refuses.
    pub fn qmp(&self, node: &str, command: &'static str, arguments: Value) -> Result<Value> {
        self.machine_named(node)?.command(command, arguments)
    }

    fn tell(&self, node: &str, word: &str, command: &'static str) -> Result<()> {
        let machine = self.machine_named(node)?;
        self.act(format!("{word} {node}"));
        machine.command(command, Value::Null).map(drop)
    }

    fn signal(&self, node: &str, stall: bool) -> Result<()> {
        let machine = self.machine_named(node)?;
        self.act(format!(
            "{} {node}",
            if stall { "stall" } else { "unstall" }
        ));
        machine.signal(stall)?;
        self.core.note(Event::Running {
            node: Arc::clone(&machine.node),
            running: !stall,
            how: "stall",
        });
        Ok(())
    }
}
