//! Reads whether a process that does not answer makes any progress. It decides nothing.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;

use super::stat::Stat;

/// The name of the serving thread. The kernel keeps 15 bytes of it.
pub(crate) const SERVING: &str = "rendezvous-serve";

/// The state of a process at one moment. A field is `None` if the system does not report it.
pub(crate) struct Look {
    stopped: Option<bool>,
    /// How long the serving threads have run, in nanoseconds.
    ran: Option<u64>,
    queue: Option<Queue>,
}

/// The connections that wait at a port to be accepted.
struct Queue {
    full: bool,
    waiting: BTreeSet<String>,
}

impl Look {
    /// Reads the state of a process, and the queue of the port at which it listens with this backlog.
    pub(crate) fn at(pid: u32, port: Option<SocketAddr>, backlog: u32) -> Self {
        Look {
            stopped: Stat::of(pid).map(|stat| stat.is_stopped()),
            ran: ran(pid),
            queue: port.and_then(|port| queue(port, backlog)),
        }
    }

    /// Returns whether the process is stopped.
    pub(crate) fn stopped(&self) -> Option<bool> {
        self.stopped
    }

    /// Returns whether a serving thread has run since an earlier look.
    pub(crate) fn ran_since(&self, earlier: &Look) -> Option<bool> {
        Some(self.ran? != earlier.ran?)
    }

    /// Returns whether the queue was not full in one of the two looks, or a connection left it between them.
    /// Connections are accepted in order, so the first that is accepted after the earlier look was waiting then.
    pub(crate) fn moved_since(&self, earlier: &Look) -> Option<bool> {
        let (now, then) = (self.queue.as_ref()?, earlier.queue.as_ref()?);
        Some(!now.full || !then.full || !then.waiting.is_subset(&now.waiting))
    }
}

/// Returns the running time of all serving threads together: a program may have several servers. Without one it is 0.
fn ran(pid: u32) -> Option<u64> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let thread = thread.ok()?.path();
        let Ok(name) = fs::read_to_string(thread.join("comm")) else { continue };
        if name.trim_end().len() >= 15 && SERVING.starts_with(name.trim_end()) {
            sum += read_time(&fs::read_to_string(thread.join("schedstat")).ok()?)?;
        }
    }
    Some(sum)
}

/// Reads how long a thread has run, which is the first of three numbers. The third counts its turns. It is 0 only on a
/// system that does not count, since every thread has had a turn.
fn read_time(schedule: &str) -> Option<u64> {
    let mut numbers = schedule.split_whitespace().map(str::parse::<u64>);
    let (time, turns) = (numbers.next()?.ok()?, numbers.nth(1)?.ok()?);
    (turns > 0).then_some(time)
}

fn queue(port: SocketAddr, backlog: u32) -> Option<Queue> {
    let most = fs::read_to_string("/proc/sys/net/core/somaxconn").ok()?.trim().parse::<u32>().ok()?;
    let table = if port.is_ipv4() { "/proc/thread-self/net/tcp" } else { "/proc/thread-self/net/tcp6" };
    read_queue(&fs::read_to_string(table).ok()?, &spelled(port), backlog.min(most))
}

/// Reads the queue of a port from the text of `/proc/net/tcp`. A connection that was not accepted yet has no inode.
fn read_queue(table: &str, port: &str, most: u32) -> Option<Queue> {
    const LISTENS: &str = "0A";
    const CONNECTED: [&str; 2] = ["01", "08"];
    let mut queue = None;
    let mut waiting = BTreeSet::new();
    for line in table.lines() {
        let mut fields = line.split_whitespace();
        if fields.nth(1) != Some(port) {
            continue;
        }
        let (Some(remote), Some(state), Some(queues)) = (fields.next(), fields.next(), fields.next()) else { continue };
        if state == LISTENS {
            queue = u32::from_str_radix(queues.split_once(':')?.1, 16).ok();
        } else if CONNECTED.contains(&state) && fields.nth(4) == Some("0") {
            waiting.insert(remote.to_owned());
        }
    }
    Some(Queue { full: queue? > most, waiting })
}

/// Returns an address as the table spells it.
fn spelled(port: SocketAddr) -> String {
    let octets = match port {
        SocketAddr::V4(port) => port.ip().octets().to_vec(),
        SocketAddr::V6(port) => port.ip().octets().to_vec(),
    };
    let words = octets.as_chunks::<4>().0.iter().map(|word| format!("{:08X}", u32::from_ne_bytes(*word)));
    format!("{}:{:04X}", words.collect::<String>(), port.port())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TABLE: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1267 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 1076 1 0 100 0 0 10 0
   1: 0100007F:1267 0100007F:A001 01 00000000:00000027 00:00000000 00000000     0        0 0 1 0
   2: 0100007F:1267 0100007F:A002 08 00000000:00000001 00:00000000 00000000     0        0 0 1 0
   3: 0100007F:1267 0100007F:A003 01 00000000:00000000 00:00000000 00000000     0        0 4711 1 0
   4: 0100007F:1267 0100007F:A004 06 00000000:00000000 03:00000CF0 00000000     0        0 0 3 0
   5: 0100007F:1268 0100007F:A005 01 00000000:00000000 00:00000000 00000000     0        0 0 1 0
   6: 0100007F:A001 0100007F:1267 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0
";

    fn look(table: &str, most: u32) -> Look {
        let queue = read_queue(table, &spelled("127.0.0.1:4711".parse().unwrap()), most);
        Look { stopped: None, ran: None, queue }
    }

    #[test]
    fn a_queue_counts_the_connections_that_are_not_accepted() {
        let Queue { full, waiting } = look(TABLE, 2).queue.unwrap();
        assert!(full);
        assert_eq!(waiting.into_iter().collect::<Vec<_>>(), ["0100007F:A001", "0100007F:A002"]);
        assert!(!look(TABLE, 3).queue.unwrap().full);
        assert!(look("", 3).queue.is_none() && look(&TABLE.replace("0A", "01"), 3).queue.is_none());
        assert_eq!(spelled("[::1]:80".parse().unwrap()), "00000000000000000000000001000000:0050");
    }

    #[test]
    fn a_queue_moves_when_a_connection_leaves_it_not_when_one_arrives() {
        let then = look(TABLE, 2);
        assert_eq!(look(TABLE, 2).moved_since(&then), Some(false));
        let more = format!("{TABLE}   7: 0100007F:1267 0100007F:A007 01 0:0 0:0 0     0        0 0 1 0\n");
        assert_eq!(look(&more, 2).moved_since(&then), Some(false));
        assert_eq!(then.moved_since(&look(&more, 2)), Some(true), "a connection was accepted");
        assert_eq!(look(TABLE, 3).moved_since(&then), Some(true), "the queue is not full");
        assert_eq!(look("", 2).moved_since(&then), None);
    }

    proptest! {
        #[test]
        fn any_table_of_sockets_is_read_without_a_panic(table in ".{0,200}", fields in "[ 0-9A-F:\\n]{0,200}") {
            look(&table, 2);
            look(&fields, 2);
            // A line of our port that is cut short, or that has other fields.
            look(&format!("{TABLE}   7: 0100007F:1267 {fields}"), 2);
            let among = format!("{TABLE}\n{fields}\n   8: {table}");
            prop_assert!(look(&among, 2).queue.is_some());
        }

        #[test]
        fn an_unreadable_schedstat_has_no_time(schedule in ".{0,100}", numbers in "[ 0-9\\n]{0,100}") {
            for schedule in [schedule, numbers] {
                let words: Vec<_> = schedule.split_whitespace().map(str::parse::<u64>).collect();
                let expected = match words[..] {
                    [Ok(time), _, Ok(1..), ..] => Some(time),
                    _ => None,
                };
                prop_assert_eq!(read_time(&schedule), expected);
            }
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_not_stopped_and_its_thread_runs_and_rests() {
        use std::sync::mpsc;
        let (work, works) = mpsc::channel::<()>();
        let (report, reports) = mpsc::channel();
        let serves = move || {
            while works.recv().is_ok() {
                report.send(()).unwrap();
            }
        };
        let thread = std::thread::Builder::new().name(SERVING.into()).spawn(serves).unwrap();
        let rest = || {
            // Waits until the thread rests. Its last turn is counted then.
            loop {
                let look = Look::at(std::process::id(), None, 0);
                std::thread::yield_now();
                if Look::at(std::process::id(), None, 0).ran_since(&look) != Some(true) {
                    return look;
                }
            }
        };
        work.send(()).unwrap();
        reports.recv().unwrap();
        let before = rest();
        assert_eq!(before.stopped(), Some(false));
        if before.ran.is_none() {
            return println!("this system does not count the time of a thread");
        }
        work.send(()).unwrap();
        reports.recv().unwrap();
        assert_eq!(rest().ran_since(&before), Some(true));
        drop(work);
        thread.join().unwrap();
    }
}
