//! What must be true after a round, seen from outside, whatever has happened in it.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;

use rendezvous_ipc::proto::record::Found;

use crate::processes;
use crate::round::{Round, State};

/// How many clients come when all is over.
const FRESH: usize = 2;

impl Round {
    /// Waits are bounded by events and by what is long for a machine; what never comes true is a violation.
    pub(crate) fn judge(&mut self) -> Result<(), String> {
        let server = self.convergence()?;
        self.one_server(server)?;
        self.connected_clients(server)?;
        self.no_lock_held(server)?;
        self.no_zombies()?;
        self.nothing_amiss()
    }

    /// Who retires leaves nothing, whatever there was.
    pub(crate) fn nothing_amiss(&mut self) -> Result<(), String> {
        self.secrecy();
        self.retirement()?;
        self.nothing_left()
    }

    /// Whoever comes now is served, and by the same server.
    fn convergence(&mut self) -> Result<u32, String> {
        let args = self.arguments(std::time::Duration::from_secs(20), 2, 7);
        let args: Vec<_> = args.into_iter().chain(["stays".to_owned()]).collect();
        let fresh: Vec<u32> = (0..FRESH).map(|_| self.start("@client", &args, &[])).collect();
        let mut servers = Vec::new();
        for client in &fresh {
            match self.await_state(*client, |state| *state != State::Begun)? {
                State::Connected { server, external: true } => servers.push(server),
                other => return Err(format!("Convergence: {client}, which came when all was over: {other:?}")),
            }
        }
        match servers[..] {
            [one, ref others @ ..] if others.iter().all(|other| *other == one) => Ok(one),
            _ => Err(format!("SingleServing: two who came at once are served by {servers:?}")),
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
            format!("NoOrphan: beside {server} these live: {:?}", left.iter().map(|left| left.pid).collect::<Vec<_>>())
        })?;
        self.eventually(&format!("Convergence: the point names {server}"), |round| {
            matches!(round.record(), Found::Record(record) if record.pid == server).then_some(())
        })
    }

    /// Who is connected to the server that serves is answered, and nobody is by another.
    fn connected_clients(&mut self, serving: u32) -> Result<(), String> {
        let stay = self.started.iter().filter_map(|(pid, started)| match started.state {
            State::Connected { server, external: true } if started.stays => Some((*pid, server)),
            _ => None,
        });
        for (client, server) in stay.collect::<Vec<_>>() {
            let answer = self.ask(client)?;
            if answer.is_some() && server != serving {
                return Err(format!("SingleServing: {client} is served by {server}, and others by {serving}"));
            }
        }
        // A server that nothing befell keeps its clients, unless it is told to retire; that which serves keeps all.
        let keeps = |server| server == serving || !self.doomed.contains(&server) && !self.plan.retires();
        match self.lost.iter().find(|(_, server)| *server != 0 && keeps(*server)) {
            Some((client, server)) => Err(format!("NoLostConnect: {client} lost {server}, which nobody has ended")),
            None => Ok(()),
        }
    }

    /// Nobody holds the point lock for long, and the server holds its own.
    fn no_lock_held(&mut self, server: u32) -> Result<(), String> {
        self.point_lock()?;
        let life = File::open(self.point().with_extension("life")).map_err(|error| error.to_string())?;
        match fs2::FileExt::try_lock_shared(&life) {
            Ok(()) => Err(format!("OneHandler: {server} serves without its lifetime lock")),
            Err(_) => Ok(()),
        }
    }

    fn point_lock(&mut self) -> Result<(), String> {
        let path = self.point();
        self.eventually("LockDiscipline: the point lock is free", |_| {
            fs2::FileExt::try_lock_exclusive(&File::open(&path).ok()?).ok()
        })
    }

    fn no_zombies(&mut self) -> Result<(), String> {
        let parents: Vec<u32> = self.started.keys().copied().collect();
        self.eventually("NoZombie: each client has waited for its children", |_| {
            (processes::zombies(&parents) == 0).then_some(())
        })
    }

    /// No cookie was told to a stranger, printed, logged, or given where others may read.
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
        public.extend(self.strangers.iter().map(|stranger| ("a stranger", stranger.heard())));
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

    /// A server that is told retires, and everybody of it is gone then.
    fn retirement(&mut self) -> Result<(), String> {
        let args = self.arguments(std::time::Duration::from_secs(20), 2, 7);
        let retirer = self.start("@retire", &args, &[]);
        let started: Vec<u32> = self.started.keys().copied().collect();
        started.into_iter().for_each(|client| self.leaves(client));
        if let State::Failed(why) = self.await_state(retirer, |state| *state != State::Begun)? {
            return Err(format!("RetiredExits: {why}"));
        }
        let home = self.home();
        let mut left = Vec::new();
        let nobody = self.eventually("", |_| {
            left = processes::of(&home);
            left.is_empty().then_some(())
        });
        nobody.map_err(|_| {
            self.tally.orphans += left.iter().filter(|left| left.serves).count() as u64;
            format!("RetiredExits: these live on: {:?}", left.iter().map(|left| left.pid).collect::<Vec<_>>())
        })
    }

    /// No lock is held, no record is left, and no file but the three, and sockets of servers that were killed.
    fn nothing_left(&mut self) -> Result<(), String> {
        self.catch_up()?;
        self.point_lock()?;
        let life = self.point().with_extension("life");
        self.eventually("the lifetime lock is free", |_| {
            fs2::FileExt::try_lock_exclusive(&File::open(&life).ok()?).ok()
        })?;
        if !matches!(self.record(), Found::Absent | Found::Empty) {
            return Err(format!("a record is left of a server that retired: {:?}", self.record()));
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
