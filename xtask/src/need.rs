//! The programs that chores need besides Rust. A chore checks for all of them before it starts, and reports what is
//! missing and how to install it. It installs nothing itself; `.ci/run` does.

use std::process::{Command, Output};

/// A program that a chore needs.
pub struct Need {
    what: &'static str,
    /// A command that succeeds if the program is installed.
    command: &'static [&'static str],
    is_good: fn(&Output) -> bool,
    /// The Debian package that contains it.
    package: &'static str,
}

pub const CAPNP: Need = Need::new("the Cap'n Proto compiler", &["capnp", "--version"], "capnproto");
pub const C: Need = Need::new("a C compiler", &["cc", "--version"], "gcc");
pub const CPP: Need = Need::new("a C++ compiler", &["c++", "--version"], "g++");
pub const PIP: Need = Need::new("pip for Python 3", &["python3", "-m", "pip", "--version"], "python3-pip");
pub const PYTHON: Need = Need {
    is_good: |output| python_version(&String::from_utf8_lossy(&output.stdout)) >= Some((3, 9)),
    ..Need::new("Python 3.9 or newer", &["python3", "--version"], "python3")
};
pub const JAVA: Need = Need {
    is_good: |output| java_version(&String::from_utf8_lossy(&output.stderr)) >= Some(11),
    ..Need::new("Java 11 or newer", &["java", "-version"], "default-jre-headless")
};

impl Need {
    const fn new(what: &'static str, command: &'static [&'static str], package: &'static str) -> Self {
        Need { what, command, is_good: |output| output.status.success(), package }
    }

    fn is_met(&self) -> bool {
        Command::new(self.command[0]).args(&self.command[1..]).output().is_ok_and(|output| (self.is_good)(&output))
    }
}

/// Fails if a program is missing, and names all that are.
pub fn all(needs: &[&Need]) -> Result<(), String> {
    let missing: Vec<&&Need> = needs.iter().filter(|need| !need.is_met()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let whats: Vec<String> =
        missing.iter().map(|need| format!("{} (see `{}`)", need.what, need.command.join(" "))).collect();
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    Err(format!("missing: {}; on Debian: apt-get install {}", whats.join(", "), packages.join(" ")))
}

/// The version that `java -version` prints: `openjdk version "17.0.15" 2025-04-15`. Java 8 and older print `1.8.0`.
fn java_version(text: &str) -> Option<u32> {
    text.split('"').nth(1)?.split(['.', '-']).next()?.parse().ok()
}

/// The version that `python3 --version` prints: `Python 3.11.7`.
fn python_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("Python ")?.split('.').map(str::trim);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_version_is_the_first_number() {
        assert_eq!(java_version("openjdk version \"17.0.15\" 2025-04-15\n"), Some(17));
        assert_eq!(java_version("openjdk version \"26-ea\" 2026-03-17\n"), Some(26));
        assert_eq!(java_version("java version \"1.8.0_392\"\n"), Some(1));
        assert_eq!(java_version("no java\n"), None);
    }

    #[test]
    fn python_version_is_the_first_two_numbers() {
        assert_eq!(python_version("Python 3.11.7\n"), Some((3, 11)));
        assert_eq!(python_version("Python 2.7\n"), Some((2, 7)));
        assert_eq!(python_version("Python 3.13.0rc1\n"), Some((3, 13)));
        assert_eq!(python_version("no python\n"), None);
    }

    #[test]
    fn an_error_names_everything_that_is_missing() {
        const ONE: Need = Need::new("one", &["/nonexistent/one", "-v"], "one-package");
        const OTHER: Need = Need::new("the other", &["false"], "other-package");
        const THERE: Need = Need::new("what is there", &["true"], "no-package");
        let error = "missing: one (see `/nonexistent/one -v`), the other (see `false`); \
                     on Debian: apt-get install one-package other-package";
        assert_eq!(all(&[&ONE, &THERE, &OTHER]), Err(error.into()));
        assert_eq!(all(&[&THERE]), Ok(()));
    }
}
