//! What must be true after a round, seen from outside, whatever faults were injected.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;

use rendezvous_ipc::proto::record::Found;

use crate::processes;
use crate::round::{Round, State};

/// How many clients connect after all faults.
const FRESH: usize = 2;

impl Round {
    /// Checks everything. A wait ends on an event or after `LONG`; a condition that never holds is a violation.
    pub(crate) fn judge(&mut self) -> Result<(), String> {
        let server = self.convergence()?;
        self.one_server(server)?;
        self.connected_clients(server)?;
        self.no_lock_held(server)?;
        self.no_zombies()?;
        self.retires_cleanly()
    }

    /// A server that retires leaves nothing behind.
    pub(crate) fn retires_cleanly(&mut self) -> Result<(), String> {
        self.secrecy();
        self.retirement()?;
        self.nothing_left()
    }

    /// New clients are served, all by the same server. Returns that server. They are of the oldest version, so they
    /// replace no server.
    fn convergence(&mut self) -> Result<u32, String> {
        let args = self.arguments(std::time::Duration::from_secs(20), "divided=2", 6);
        let args: Vec<_> = args.into_iter().chain(["stays".to_owned()]).collect();
        let fresh: Vec<u32> = (0..FRESH).map(|_| self.start("@client", &args, &[])).collect();
        let mut servers = Vec::new();
        for client in &fresh {
            match self.await_state(*client, |state| *state != State::Begun)? {
                State::Connected { server, external: true } => servers.push(server),
                other => return Err(format!("Convergence: {client} connected after all faults, and is {other:?}")),
            }
        }
        match servers[..] {
            [one, ref others @ ..] if others.iter().all(|other| *other == one) => Ok(one),
            _ => Err(format!("SingleServing: clients that connected at once are served by {servers:?}")),
        }
    }

    /// One server is left, and the point names it.
    fn one_server(&mut self, server: u32) -> Result<(), String> {
        let home = self.home();
        let mut left = Vec::new();
        let alone = self.eventually("", |_| {
            left = processes::of(&home);
            left.retain(|process| process.serves && process.pid != server);
            left.is_empty().then_some(())
        });
        alone.map_err(|_| {
            self.tally.orphans += left.len() as u64;
            format!(
                "NoOrphan: beside {server} these servers live: {:?}",
                left.iter().map(|left| left.pid).collect::<Vec<_>>()
            )
        })?;
        self.eventually(&format!("Convergence: the point names {server}"), |round| {
            matches!(round.record(), Found::Record(record) if record.pid == server).then_some(())
        })
    }

    /// The current server answers its clients, and no other server answers a client.
    fn connected_clients(&mut self, serving: u32) -> Result<(), String> {
        let stay = self.started.iter().filter_map(|(pid, started)| match started.state {
            State::Connected { server, external: true } if started.stays => Some((*pid, server)),
            _ => None,
        });
        for (client, server) in stay.collect::<Vec<_>>() {
            let answer = self.ask(client)?;
            if answer.is_some() && server != serving {
                return Err(format!("SingleServing: {client} is served by {server}, and other clients by {serving}"));
            }
        }
        // A server keeps its clients, unless it was ended by a fault, or retired for a reason.
        let mut lost = self.lost.iter().filter(|(_, server, _)| *server != 0);
        match lost.find(|(_, server, at)| !self.history.explains_loss(*at, *server)) {
            Some((client, server, _)) => {
                Err(format!("NoLostConnect: {client} lost {server}, which no fault has ended"))
            }
            None => Ok(()),
        }
    }

    /// No process holds the point lock for long, and the server holds its lifetime lock, in a file that it makes again if
    /// it was removed.
    fn no_lock_held(&mut self, server: u32) -> Result<(), String> {
        self.point_lock()?;
        let path = self.point().with_extension("life");
        self.eventually(&format!("OneHandler: {server} holds its lifetime lock"), |_| {
            let life = File::open(&path).ok()?;
            fs2::FileExt::try_lock_shared(&life).is_err().then_some(())
        })
    }

    fn point_lock(&mut self) -> Result<(), String> {
        let path = self.point();
        self.eventually("LockDiscipline: the point lock becomes free", |_| {
            fs2::FileExt::try_lock_exclusive(&File::open(&path).ok()?).ok()
        })
    }

    fn no_zombies(&mut self) -> Result<(), String> {
        let parents: Vec<u32> = self.started.keys().copied().collect();
        self.eventually("NoZombie: each client has waited for its children", |_| {
            (processes::zombies(&parents) == 0).then_some(())
        })
    }

    /// No cookie was sent to a stranger, printed, logged, or left where other users may read it.
    fn secrecy(&mut self) {
        let log = fs::read(self.point().with_extension("log")).unwrap_or_default();
        let printed = fs::read(self.printed()).unwrap_or_default();
        for (name, text) in [("log", &log), ("output", &printed)] {
            if let Some(at) = find(text, b"panicked") {
                let text = String::from_utf8_lossy(&text[at..text.len().min(at + 400)]).into_owned();
                self.violations.push(format!("a panic in the {name}: {text}"));
            }
        }
        let mut public = vec![("the log", log), ("the output", printed), ("a line", self.log.join("\n").into_bytes())];
        public.extend(self.strangers.iter().map(|stranger| ("a stranger", stranger.received())));
        public.extend(processes::of(&self.home()).into_iter().map(|process| ("a process", process.public)));
        for cookie in &self.cookies {
            for part in [&cookie[..8], &cookie[12..20], &cookie[24..]] {
                let hex: String = part.iter().map(|byte| format!("{byte:02x}")).collect();
                for (who, text) in &public {
                    if find(text, part).or(find(text, hex.as_bytes())).is_some() {
                        self.violations.push(format!("CookieSecrecy: {who} has a cookie"));
                    }
                }
            }
        }
    }

    /// A server that a client asks to retire does so, and all processes of the round end.
    fn retirement(&mut self) -> Result<(), String> {
        let args = self.arguments(std::time::Duration::from_secs(20), "divided=2", 6);
        let retirer = self.start("@retire", &args, &[]);
        let started: Vec<u32> = self.started.keys().copied().collect();
        started.into_iter().for_each(|client| self.release(client));
        if let State::Failed(why) = self.await_state(retirer, |state| *state != State::Begun)? {
            return Err(format!("RetiredExits: {why}"));
        }
        let home = self.home();
        let mut left = Vec::new();
        let alone = self.eventually("", |_| {
            left = processes::of(&home);
            left.is_empty().then_some(())
        });
        alone.map_err(|_| {
            self.tally.orphans += left.iter().filter(|left| left.serves).count() as u64;
            format!("RetiredExits: these processes live on: {:?}", left.iter().map(|left| left.pid).collect::<Vec<_>>())
        })
    }

    /// No lock and no record is left, and no file but the known three and the sockets of killed servers.
    fn nothing_left(&mut self) -> Result<(), String> {
        self.catch_up()?;
        self.point_lock()?;
        let life = self.point().with_extension("life");
        self.eventually("the lifetime lock is free", |_| {
            fs2::FileExt::try_lock_exclusive(&File::open(&life).ok()?).ok()
        })?;
        if !matches!(self.record(), Found::Absent | Found::Empty) {
            return Err(format!("a retired server left a record: {:?}", self.record()));
        }
        let files = fs::read_dir(self.home()).expect("a home").map(|entry| entry.expect("a file").file_name());
        let mut files: Vec<_> = files.collect();
        files.retain(|name| !["point", "point.life", "point.log"].iter().any(|known| name == known));
        files.retain(|name| {
            let path = self.home().join(name);
            let is_socket = name.to_str().is_some_and(|name| name.starts_with("point.") && name.ends_with(".sock"));
            !(is_socket && UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused))
        });
        if !files.is_empty() {
            return Err(format!("files are left: {files:?}"));
        }
        Ok(())
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
