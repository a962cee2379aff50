//! What the kernel said before the last reset, where the machine kept it (pstore).

use std::fs;
use std::path::Path;

/// Lines that tell why a machine stopped.
const TELLING: [&str; 4] = ["kodo: ", "Kernel panic", "watchdog: ", "BUG: "];
/// Lines passed on: the newest are the ones that matter.
const LINES: usize = 6;

/// The telling lines of all records, oldest first, and then forgets the records, so that
/// the store has room for the next time.
pub(super) fn last_words(store: &Path) -> Vec<String> {
    let mut names: Vec<_> = super::children(store);
    // `dmesg-efi-16…` sorts oldest first within one kind.
    names.sort();
    let mut words = Vec::new();
    for path in names {
        let text = fs::read(&path).unwrap_or_default();
        for line in String::from_utf8_lossy(&text).lines() {
            if TELLING.iter().any(|telling| line.contains(telling)) {
                words.push(line.chars().filter(|c| !c.is_control()).take(160).collect());
            }
        }
        // Without room the next record would be lost, which is all that can go wrong here.
        let _ = fs::remove_file(&path);
    }
    words.split_off(words.len().saturating_sub(LINES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_telling_lines_are_read_once() {
        let store = std::env::temp_dir().join(format!("kodo-pstore-{}", std::process::id()));
        fs::create_dir_all(&store).unwrap();
        fs::write(
            store.join("dmesg-efi-1"),
            "<6>eth0: up\n<2>kodo: reset: reason 3\n",
        )
        .unwrap();
        fs::write(
            store.join("dmesg-efi-2"),
            [b"Kernel panic - not syncing\n".as_slice(), &[0xff; 9]].concat(),
        )
        .unwrap();
        assert_eq!(
            last_words(&store),
            ["<2>kodo: reset: reason 3", "Kernel panic - not syncing"]
        );
        assert_eq!(last_words(&store), Vec::<String>::new());
        fs::remove_dir(&store).unwrap();
    }
}
