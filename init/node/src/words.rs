//! How the node's own words read in a log line.

use core::fmt;

use crate::io::{ActError, Action, AgentCode, Drill, Exit, Halt, ProbeError};

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::AddAddress(port, address) => write!(f, "binding {address} on port {}", port.0),
            Action::DelAddress(port, address) => {
                write!(f, "removing {address} from port {}", port.0)
            }
            Action::Spawn(service, _) => write!(f, "running service {}", service.0),
            Action::Terminate(service) => write!(f, "terminating service {}", service.0),
            Action::Kill(service) => write!(f, "killing service {}", service.0),
            Action::Promote(service, reason) => {
                write!(f, "promoting service {} ({reason:?})", service.0)
            }
            Action::Demote(service) => write!(f, "demoting service {}", service.0),
        }
    }
}

impl fmt::Display for ActError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ActError::Errno(errno) => write!(f, "the kernel refused with errno {errno}"),
            ActError::Ended(exit) => write!(f, "it {exit}"),
            ActError::Overdue => f.write_str("the helper did not answer in time"),
            ActError::Absent => f.write_str("it is not on this machine"),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exited with status {code}"),
            Exit::Signal(signal) => write!(f, "was ended by signal {signal}"),
        }
    }
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProbeError::Refused => f.write_str("nobody listens"),
            ProbeError::Timeout => f.write_str("no answer in time"),
            ProbeError::Status(status) => write!(f, "HTTP status {status}"),
            ProbeError::Garbage => f.write_str("the answer is not HTTP"),
            ProbeError::Text => f.write_str("the page lacks the text of `body`"),
            ProbeError::Agent(code) => write!(f, "its agent says: {code}"),
        }
    }
}

impl fmt::Display for AgentCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self.0 {
            0 => "success",
            1 => "failed",
            2 => "wrong arguments",
            3 => "action not implemented",
            4 => "not permitted",
            5 => "something that it needs is not installed",
            6 => "configured wrongly",
            7 => "not running",
            8 => "running and promoted",
            9 => "promoted and failed",
            190 => "running, but degraded",
            191 => "promoted, but degraded",
            _ => "no code that OCF knows",
        };
        write!(f, "{words} (code {})", self.0)
    }
}

impl fmt::Display for Drill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Drill::ServiceKill => "service-kill",
            Drill::KernelPanic => "kernel-panic",
            Drill::Pid1Stuck => "pid1-stuck",
            Drill::Pid1Dies => "pid1-dies",
        })
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Halt::PowerOff => "power off",
            Halt::Reboot => "reboot",
        })
    }
}
