//! A damaged point is restored by its server, or cleared if there is none.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Instant;

use rendezvous_ipc::proto::record::Found;
use rendezvous_ipc::{DialFailure, Origin, Reason};
use rustix::process::Signal;

use crate::home::Named as _;
use crate::home::{Home, Stranger, eventually, kill, printed};
use crate::trace;

crate::trials![
    a_server_rewrites_a_copy_that_replaced_its_point,
    a_point_with_another_name_is_refused_and_its_server_goes_on,
    a_server_with_a_damaged_point_is_joined_with_its_memory,
    the_server_of_a_copied_home_is_not_joined,
    a_server_is_joined_in_a_home_that_was_made_again,
    a_damaged_point_without_a_server_is_cleared_and_one_is_started,
    a_stranger_on_a_dead_servers_port_receives_only_hellos,
    a_stranger_on_an_old_records_port_costs_no_server,
    a_stranger_that_writes_or_hangs_up_is_a_suspicion,
    a_server_that_is_silent_before_its_welcome_is_suspected,
];

/// Ways to damage a point that holds `record`; `None` means to delete it.
fn damages(record: &[u8]) -> Vec<(String, Option<Vec<u8>>)> {
    let mut damages = vec![("deleted".to_owned(), None), ("emptied".to_owned(), Some(Vec::new()))];
    for cut in [1, 10, 13, record.len() / 2, record.len() - 33, record.len() - 1] {
        damages.push((format!("cut at {cut}"), Some(record[..cut].to_vec())));
    }
    let mut random = vec![0; 300];
    rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut random).unwrap();
    damages.push(("random bytes".to_owned(), Some(random)));
    damages.push(("a larger file".to_owned(), Some(vec![b'x'; 1 << 20])));
    damages
}

fn damage(home: &Home, bytes: &Option<Vec<u8>>) {
    match bytes {
        None => fs::remove_file(home.point()).unwrap(),
        Some(bytes) => fs::write(home.point(), bytes).unwrap(),
    }
}

fn a_server_with_a_damaged_point_is_joined_with_its_memory() {
    let home = Home::new();
    let (server, mut count) = home.count();
    let record = home.record();
    for (how, bytes) in damages(&record.line()) {
        damage(&home, &bytes);
        let begun = Instant::now();
        let (outcome, next) = home.count();
        count += 1;
        assert_eq!((outcome.origin, outcome.pid(), next), (Origin::Joined, server.pid(), count), "{how}");
        assert!(begun.elapsed() < home.limits.check * 4, "{how}: {:?}", begun.elapsed());
        assert_eq!(home.record(), record, "{how}");
    }
    home.retire();
}

fn the_server_of_a_copied_home_is_not_joined() {
    let (mut home, mut copy) = (Home::new(), Home::new());
    // A socket is not copied: it leads nowhere.
    (home.server, copy.server) = (&["@serve", "tcp"], &["@serve", "tcp"]);
    let (original, _) = home.count();
    copy.make();
    for name in ["count", "count.life"] {
        fs::copy(home.path().join(name), copy.path().join(name)).unwrap();
    }
    assert_eq!(copy.record(), home.record());
    let (own, count) = copy.count();
    assert_ne!(own.pid(), original.pid());
    assert_eq!((own.origin, count), (Origin::StartedExternal(Reason::ServerGone), 1));
    assert_eq!(own.suspicions.last().unwrap().failure, DialFailure::Impostor, "{own}");
    assert_eq!(home.count().0.pid(), original.pid(), "the original goes on");
    home.retire();
    copy.retire();
}

fn a_server_is_joined_in_a_home_that_was_made_again() {
    for transport in ["tcp", "unix"] {
        let home = Home::new();
        let service = home.service_by(&["@serve", transport]);
        let (server, _) = home.try_count(&service).unwrap();
        fs::rename(home.path(), home.directory().join("away")).unwrap();
        home.make();
        eventually("the server restores its files", || home.point().metadata().is_ok_and(|point| point.len() > 0));
        let (outcome, count) = home.try_count(&service).unwrap();
        assert_eq!((outcome.origin, outcome.pid(), count), (Origin::Joined, server.pid(), 2), "{transport}");
        home.retire();
    }
}

fn a_damaged_point_without_a_server_is_cleared_and_one_is_started() {
    let home = Home::new();
    let (mut server, _) = home.count();
    for (how, bytes) in damages(&home.record().line()) {
        kill(&home, server.pid());
        damage(&home, &bytes);
        let (outcome, count) = home.count();
        match (outcome.origin, &bytes) {
            (Origin::StartedExternal(Reason::NoRecord), None) => {}
            (Origin::StartedExternal(Reason::NoRecord), Some(bytes)) if bytes.is_empty() => {}
            (Origin::StartedExternal(Reason::Malformed(_)), Some(bytes)) if !bytes.is_empty() => {}
            (other, _) => panic!("{how}: {other:?}"),
        }
        assert_eq!((count, home.processes()), (1, vec![outcome.pid()]), "{how}");
        server = outcome;
    }
    home.retire();
}

fn a_stranger_on_a_dead_servers_port_receives_only_hellos() {
    let home = Home::new();
    let (server, _) = home.count();
    let stranger = Stranger::silent();
    let stale = home.stale_record(&stranger);
    let cookie = *home.record().cookie.expose();
    kill(&home, server.pid());
    fs::write(home.point(), stale).unwrap();
    let (outcome, count) = home.count();
    assert_eq!((outcome.origin, count), (Origin::StartedExternal(Reason::ServerGone), 1));
    for received in stranger.received() {
        assert_eq!((received.len(), &received[..4]), (39, &b"RDVZ"[..]), "the stranger receives only a hello");
        assert!(!received.windows(8).any(|window| cookie.windows(8).any(|part| part == window)));
    }
    home.retire();
}

fn a_stranger_on_an_old_records_port_costs_no_server() {
    let home = Home::new();
    let (server, _) = home.count();
    let stranger = Stranger::silent();
    fs::write(home.point(), home.stale_record(&stranger)).unwrap();
    let begun = Instant::now();
    let (outcome, count) = home.count();
    assert_eq!((outcome.origin, outcome.pid(), count), (Origin::Joined, server.pid(), 2));
    assert!(begun.elapsed() < 2 * (home.limits.check + home.limits.patience), "{:?}", begun.elapsed());
    assert!(stranger.received().iter().all(|received| received.len() == 39));
    home.retire();
}

type Reply = fn(&mut std::net::TcpStream);

fn a_stranger_that_writes_or_hangs_up_is_a_suspicion() {
    use std::io::Write;
    let strangers: [(&str, Reply); 3] = [
        ("is another program, which does not know the cookie", |stream| drop(stream.write_all(&[7; 1000]))),
        ("closed the connection", |stream| drop(stream.shutdown(std::net::Shutdown::Both))),
        ("sent nothing in time", |stream| drop(stream.write_all(b"HTTP/1.1 400"))),
    ];
    for (what, reply) in strangers {
        let home = Home::new();
        let (server, _) = home.count();
        let stale = home.stale_record(&Stranger::new(reply));
        kill(&home, server.pid());
        fs::write(home.point(), stale).unwrap();
        let (outcome, _) = home.count();
        assert_eq!(outcome.origin, Origin::StartedExternal(Reason::ServerGone), "{what}");
        assert!(outcome.suspicions[0].to_string().contains(what), "{what}: {}", outcome.suspicions[0]);
        home.retire();
    }
}

fn a_server_that_is_silent_before_its_welcome_is_suspected() {
    let home = Home::new();
    let mut server = home.command(&["@serve", "block-at=Admit"]).spawn().unwrap();
    eventually("the server is registered", || fs::read(home.point()).is_ok_and(|record| !record.is_empty()));
    let log = home.directory().join("steps");
    let mut client = home.command(&["@client"]).env(trace::LOG, &log).spawn().unwrap();
    let logged = |step: &str| fs::read_to_string(&log).is_ok_and(|log| log.contains(step));
    eventually("the client suspects it", || {
        assert!(client.try_wait().unwrap().is_none(), "the client waits for the welcome until its deadline");
        logged(" connect Lock")
    });
    assert!(logged(" connect Welcome"), "the server has proved that it knows the cookie");
    server.kill().unwrap();
    server.wait().unwrap();
    let stdout = printed(&client.wait_with_output().unwrap());
    assert!(stdout.starts_with("started an external server ("), "{stdout}");
    home.end_all(Signal::TERM);
}

fn a_server_rewrites_a_copy_that_replaced_its_point() {
    let home = Home::new();
    let (server, _) = home.count();
    let record = home.record();
    let copy = home.path().join("copy");
    fs::File::options().write(true).create_new(true).mode(0o600).open(&copy).unwrap();
    fs::write(&copy, fs::read(home.point()).unwrap()).unwrap();
    fs::rename(&copy, home.point()).unwrap();
    let log = home.path().join("count.log");
    let restored = || fs::read_to_string(&log).is_ok_and(|text| text.contains("the record was restored"));
    eventually("the record is written", restored);
    eventually("the record is whole", || matches!(Found::read(&fs::read(home.point()).unwrap()), Found::Record(_)));
    assert_eq!(home.record(), record);
    let (outcome, count) = home.count();
    assert_eq!((outcome.origin, outcome.pid(), count), (Origin::Joined, server.pid(), 2));
    home.retire();
}

fn a_point_with_another_name_is_refused_and_its_server_goes_on() {
    let home = Home::new();
    let (server, _) = home.count();
    let link = home.directory().join("link");
    fs::hard_link(home.point(), &link).unwrap();
    let error = home.fail(&home.service());
    let theirs = format!("{} is a file with more than one name and was left alone: remove it", home.point().display());
    assert!(error.to_string().starts_with(&theirs), "{error}");
    fs::remove_file(&link).unwrap();
    let (outcome, count) = home.count();
    assert_eq!((outcome.origin, outcome.pid(), count), (Origin::Joined, server.pid(), 2));
    home.retire();
}
