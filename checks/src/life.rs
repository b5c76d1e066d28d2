//! A life file ends in the line of a drain, in its one spelling, or says nothing.

use rendezvous_ipc::proto::life::Drains;

/// Reads the bytes as a life file.
pub fn check(bytes: &[u8]) {
    let read = Drains::read(bytes);
    assert_eq!(read, expected(bytes), "{bytes:?}");
    if let Some(drains) = read {
        assert!(bytes.ends_with(&drains.line()));
    }
}

fn expected(bytes: &[u8]) -> Option<Drains> {
    let line = str::from_utf8(&bytes[bytes.len().checked_sub(60)?..]).ok()?;
    let (pid, until) =
        line.strip_prefix("pid ")?.strip_suffix(" seconds since 1970\n")?.split_once(" drains until ")?;
    let number = |digits: &str, length| {
        let all = digits.len() == length && digits.bytes().all(|byte| byte.is_ascii_digit());
        all.then(|| digits.parse::<u64>().ok())?
    };
    let pid = u32::try_from(number(pid, 10)?).ok()?;
    let until = number(until, 12)?;
    // The end of the year 9999.
    (until <= 253_402_300_799).then_some(Drains { pid, until })
}
