//! How a service is bounded and asked to end: its own words, then its recipe's.

use toml::Spanned;

use super::take;
use crate::cluster::{Bounds, StopSignal};
use crate::diagnostic::{Diagnostic, Sink};
use crate::leaf::Text;
use crate::size::{self, Size};

/// Less holds no program with its stack and libraries.
const MEMORY_MIN: u64 = 4 << 20;
/// Processes and threads of a service that says nothing.
const PIDS: u32 = 512;
/// More than this the kernel has no numbers for (`PID_MAX_DEFAULT`).
const PIDS_MAX: u32 = 32_768;
/// Percent of one processor: 64 processors.
const CPU_MAX: u32 = 6_400;

/// What was written of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Words {
    memory: Option<u64>,
    pids: Option<u32>,
    cpu: Option<u32>,
    stop_signal: Option<StopSignal>,
}

impl Words {
    pub(super) fn read(
        sink: &mut Sink<'_>,
        memory: Option<Text<Size>>,
        pids: Option<Spanned<u32>>,
        cpu: Option<Spanned<u32>>,
        stop_signal: Option<Text<StopSignal>>,
    ) -> Self {
        let memory = memory.and_then(|text| take(sink, text));
        if let Some(small) = memory.as_ref().filter(|size| size.get_ref().0 < MEMORY_MIN) {
            sink.push(
                Diagnostic::error(
                    small.span(),
                    format!("{} holds no program", size::show(small.get_ref().0)),
                )
                .because("`memory` is all that the service's processes may take together, and ends it when they need more")
                .help(format!("write {} or more", size::show(MEMORY_MIN))),
            );
        }
        Self {
            memory: memory.map(|size| size.into_inner().0),
            pids: number(sink, pids, "pids", "processes and threads", PIDS_MAX),
            cpu: number(sink, cpu, "cpu", "percent of one processor", CPU_MAX),
            stop_signal: stop_signal
                .and_then(|text| take(sink, text))
                .map(Spanned::into_inner),
        }
    }

    /// A service's words before its recipe's.
    pub(super) fn or(self, base: Self) -> (Bounds, StopSignal) {
        let bounds = Bounds {
            memory: self.memory.or(base.memory),
            pids: self.pids.or(base.pids).unwrap_or(PIDS),
            cpu: self.cpu.or(base.cpu),
        };
        let signal = self.stop_signal.or(base.stop_signal);
        (bounds, signal.unwrap_or_default())
    }
}

fn number(
    sink: &mut Sink<'_>,
    value: Option<Spanned<u32>>,
    word: &str,
    what: &str,
    most: u32,
) -> Option<u32> {
    let value = value?;
    if !(1..=most).contains(value.get_ref()) {
        let wrong = format!("`{word}` cannot be {}", value.get_ref());
        sink.push(
            Diagnostic::error(value.span(), wrong)
                .help(format!("write how many {what} it may take, 1 to {most}")),
        );
    }
    Some(value.into_inner())
}
