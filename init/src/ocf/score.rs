//! How fit an instance is to be promoted, as its agent says.
//!
//! Agents of Pacemaker call `crm_attribute --promotion` or `crm_master`. Under these names
//! this program keeps the number in a file of the service's own state directory; the runner
//! reads it with every monitor. An agent that said nothing, or took it back, must not be
//! promoted: that is what it means to Pacemaker. Other attributes of nodes are refused: there
//! are none here.

use std::path::{Path, PathBuf};

/// Names the file in the environment of agents.
pub(crate) const VARIABLE: &str = "KODO_PROMOTION_SCORE";
/// The file, in the directory of agents' state.
pub(crate) const FILE: &str = ".kodo-promotion-score";
/// What says that an instance must not be promoted.
const NEVER: i16 = -1;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wish {
    Set(i16),
    Delete,
    /// Say it; with the number alone when quiet.
    Query {
        quiet: bool,
    },
}

/// Runs as `crm_attribute` or `crm_master` with these arguments.
pub(crate) fn run(program: &str, arguments: &[String]) -> Result<(), String> {
    let wish = wish(program.ends_with("crm_master"), arguments)?;
    let file = std::env::var_os(VARIABLE).map(PathBuf::from);
    let file = file.ok_or("only an OCF agent that this node runs can call this")?;
    let refuse = |error: std::io::Error| format!("{}: {error}", file.display());
    match wish {
        Wish::Set(score) => std::fs::write(&file, score.to_string()).map_err(refuse),
        Wish::Delete => match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(refuse(error)),
            _ => Ok(()),
        },
        Wish::Query { quiet } => {
            let score = kept(&file).ok_or("no promotion score is set")?;
            match quiet {
                true => println!("{score}"),
                false => println!("scope=status  name=promotion-score value={score}"),
            }
            Ok(())
        }
    }
}

/// How fit the instance is that keeps its score there.
pub(crate) fn read(file: &Path) -> i16 {
    kept(file).unwrap_or(NEVER)
}

fn kept(file: &Path) -> Option<i16> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// Reads a command line as Pacemaker's tools do (`crm_attribute(8)`).
fn wish(promotion: bool, arguments: &[String]) -> Result<Wish, String> {
    let (mut promotion, mut quiet, mut wish) = (promotion, false, None);
    let mut arguments = arguments
        .iter()
        .flat_map(|argument| match argument.split_once('=') {
            Some((option, value)) if option.starts_with("--") => vec![option, value],
            _ => vec![argument.as_str()],
        })
        .peekable();
    while let Some(option) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("{option} lacks its value"))
        };
        match option {
            "-p" | "--promotion" => {
                promotion = true;
                // The resource may be named; there is but one.
                let _ = arguments.next_if(|next| !next.starts_with('-'));
            }
            "-v" | "--update" => wish = Some(Wish::Set(number(value()?)?)),
            "-D" | "--delete" => wish = Some(Wish::Delete),
            "-G" | "--query" => wish = Some(Wish::Query { quiet: false }),
            "-Q" | "-q" | "--quiet" => quiet = true,
            // How long it lasts, and what is said where there is none: as long as the
            // instance, and nothing.
            "-l" | "--lifetime" | "-d" | "--default" | "-r" | "--resource" => {
                value()?;
            }
            "-N" | "--node" | "-U" | "--uname" => {
                let node = value()?;
                if std::env::var("KODO_NODE").is_ok_and(|own| own != node) {
                    return Err(format!("a score of {node} can only be set there"));
                }
            }
            other => {
                return Err(format!(
                    "{other} is not known here; only promotion scores are kept"
                ));
            }
        }
    }
    match wish {
        _ if !promotion => {
            Err("only promotion scores are kept here: --promotion is missing".into())
        }
        Some(Wish::Query { .. }) => Ok(Wish::Query { quiet }),
        Some(wish) => Ok(wish),
        None => Err("say --update, --delete or --query".into()),
    }
}

/// A score, cut to what a heartbeat carries.
fn number(text: &str) -> Result<i16, String> {
    match text {
        "INFINITY" | "+INFINITY" => Ok(i16::MAX),
        "-INFINITY" => Ok(i16::MIN),
        _ => {
            let score: i64 = text.parse().map_err(|_| format!("{text} is no score"))?;
            let score = score.clamp(i16::MIN.into(), i16::MAX.into());
            Ok(i16::try_from(score).unwrap_or(0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Wish, String> {
        let mut words = line.split(' ').map(str::to_owned);
        let program = words.next().unwrap();
        wish(program.ends_with("crm_master"), &words.collect::<Vec<_>>())
    }

    #[test]
    fn both_tools_are_understood() {
        for (line, wish) in [
            ("crm_attribute --promotion -v 5", Wish::Set(5)),
            ("/usr/sbin/crm_master -l reboot -v 10", Wish::Set(10)),
            (
                "crm_attribute -p db --update=-INFINITY",
                Wish::Set(i16::MIN),
            ),
            (
                "crm_attribute --promotion=db -v 1000000",
                Wish::Set(i16::MAX),
            ),
            ("crm_attribute --promotion -D", Wish::Delete),
            ("crm_master -l reboot -D", Wish::Delete),
            ("crm_master -G -q", Wish::Query { quiet: true }),
        ] {
            assert_eq!(of(line), Ok(wish), "{line}");
        }
        for line in [
            "crm_attribute -n foo -v 5",
            "crm_attribute -v 5",
            "crm_master -v",
            "crm_master -v much",
            "crm_master",
        ] {
            assert!(of(line).is_err(), "{line}");
        }
    }
}
