//! The properties that must always hold, with their names in the spec.

use rendezvous_ipc::proto::connect::{Goal, Older, Policy, Step};
use rendezvous_ipc::proto::record::Record;
use rendezvous_ipc::proto::serve;
use rendezvous_ipc::proto::serving::{self, Retire, WhenLost};

use crate::world::{Actor, At, Client, Content, Life, Move, Pipe, Sent, Site, World};

/// A property of a world.
type State = (&'static str, fn(&World) -> bool);
/// A property of a move from a world.
type Action = (&'static str, fn(&World, &Move) -> bool);

const STATES: [State; 14] = [
    ("SingleServing", single_serving),
    ("OneHandler", one_handler),
    ("CookieSecrecy", cookie_secrecy),
    ("CookieFreshness", cookie_freshness),
    ("HoldsTable", holds_table),
    ("BoundedHold", bounded_hold),
    ("PolicyFidelity", policy_fidelity),
    ("NoSpuriousError", no_spurious_error),
    ("Convergence", converges),
    ("DeadlineEverywhere", deadline_everywhere),
    ("NothingHeld", nothing_held),
    ("TheGateCounts", the_gate_counts),
    ("JoinStartsNothing", join_starts_nothing),
    ("RefusalIsKept", refusal_is_kept),
];

const ACTIONS: [Action; 11] = [
    ("NoLiveInvalidation", no_live_invalidation),
    ("ClearOnlyIfFree", clear_only_if_free),
    ("NoCutOff", no_cut_off),
    ("Authenticity", authenticity),
    ("NoLostConnect", no_lost_connect),
    ("LockDiscipline", lock_discipline),
    ("NoChildLeft", no_child_left),
    ("JoinChangesNothing", join_changes_nothing),
    ("AbsentIsTrue", absent_is_true),
    ("NoReplacementUnlessChosen", no_replacement_unless_chosen),
    ("TooOldIsTrue", too_old_is_true),
];

/// Checks a world, or a move from it. An error names the property that does not hold.
pub fn judge(world: &World, step: Option<&Move>) -> Result<(), String> {
    let violated = match step {
        None => STATES.iter().find(|(_, holds)| !holds(world)).map(|(name, _)| name),
        Some(step) => ACTIONS.iter().find(|(_, holds)| !holds(world, step)).map(|(name, _)| name),
    };
    violated.map_or(Ok(()), |name| Err(format!("{name} does not hold")))
}

fn servers(world: &World) -> std::ops::Range<usize> {
    0..world.servers.len()
}

fn clients(world: &World) -> std::ops::Range<usize> {
    0..world.clients.len()
}

/// Returns whether the spec claims the properties of one server alone. It does not where a service keeps its sessions: the
/// two faults by which another gets the life file of a live server hide that server.
fn claims_one(world: &World) -> bool {
    world.when_lost == WhenLost::Retire
}

/// Returns whether the life file of this server is gone, and a second fault keeps it from making the file again, or clients
/// from seeing that it lives.
fn hidden(world: &World, s: usize) -> bool {
    world.may_hide && world.life_file_gone(s) && world.befell(2)
}

fn single_serving(world: &World) -> bool {
    let serving = |s: &usize| world.servers[*s].serving() && !hidden(world, *s);
    !claims_one(world) || servers(world).filter(serving).count() <= 1
}

/// A handler exists from before *Build* to the end of the drain, unless it could not be built. At most one exists.
fn one_handler(world: &World) -> bool {
    let handles = |s: &usize| {
        let server = &world.servers[*s];
        let Some(step) = server.step.as_ref().filter(|_| server.alive()) else { return false };
        let before_or_after = matches!(
            step,
            serve::Step::Watch(_)
                | serve::Step::Claim(_)
                | serve::Step::Refuse(_)
                | serve::Step::Serving(serving::Step::Release(_))
        );
        !before_or_after && !matches!(step.facts().then, "Busy" | "Failed")
    };
    let handling: Vec<usize> = servers(world).filter(handles).collect();
    // While a removed life file is not made again, an orphan may claim it.
    let window = |s: usize, t: usize| {
        let not_made_again = world.life_may_go && world.life_file_gone(s);
        unguarded(world, s) || hidden(world, s) || (not_made_again && !world.servers[t].registered)
    };
    !claims_one(world) || handling.iter().all(|&s| handling.iter().all(|&t| s == t || window(s, t) || window(t, s)))
}

/// Returns whether the server retires without its life file. A retiring server does not make it again.
fn unguarded(world: &World, s: usize) -> bool {
    let server = &world.servers[s];
    world.life_may_go && world.life_file_gone(s) && server.registered && !server.gate.is_open()
}

fn cookie_secrecy(world: &World) -> bool {
    // All cookies of the model end in the same bytes.
    !world.conns.iter().flatten().any(|conn| conn.bytes.windows(16).any(|window| window == [7; 16]))
}

fn cookie_freshness(world: &World) -> bool {
    let starting = |s: &usize| matches!(world.servers[*s].step, Some(serve::Step::Watch(_) | serve::Step::Claim(_)));
    servers(world).filter(starting).filter(|&s| world.servers[s].alive()).all(|s| {
        let is = |record: &Record| world.slot_of(record) == Some(s);
        let known = |client: &Client| client.facts().suspect.is_some_and(is) || client.facts().dialled.is_some_and(is);
        !world.files.contains(&Content::Record(s))
            && !world.clients.iter().any(known)
            && !world.conns.iter().flatten().any(|conn| conn.to == s)
    })
}

/// At each step a process holds exactly what the step lists, and nothing after its end.
fn holds_table(world: &World) -> bool {
    clients(world).all(|c| {
        let holds = world.clients[c].at.holds();
        holds.lock == world.holds(Actor::Client(c)) && holds.child == world.clients[c].child.is_some()
    }) && servers(world).filter(|&s| !world.servers[s].dying).all(|s| {
        let me = Actor::Server(s);
        let holds = world.servers[s].step.as_ref().map(serve::Step::holds).unwrap_or_default();
        let life = holds.life == (world.life == Life::Held(s))
            || (world.life_may_go && !world.calm() && world.life_file_gone(s));
        holds.lock == world.holds(me) && life
    })
}

/// The holder of the point lock is at no step that waits without a limit of its own: a client may wait for its child and
/// for a server that it dials.
fn bounded_hold(world: &World) -> bool {
    use serve::Step as Server;
    use serving::Step as Serving;
    clients(world).filter(|&c| world.holds(Actor::Client(c))).all(|c| {
        let waits = |step: &Step| matches!(step, Step::Read(_) | Step::Lock(_) | Step::Backoff(_) | Step::Wait(_));
        matches!(&world.clients[c].at, At::Step(step) if !waits(step))
    }) && servers(world).filter(|&s| world.holds(Actor::Server(s))).all(|s| {
        !matches!(
            world.servers[s].step,
            Some(Server::Watch(_) | Server::Registered(_))
                | Some(Server::Serving(Serving::Serve(_) | Serving::Check(_) | Serving::Lock(_)))
                | Some(Server::Serving(Serving::Backoff(_) | Serving::Drain(_)))
        ) || world.servers[s].dying
    })
}

fn policy_fidelity(world: &World) -> bool {
    clients(world).all(|c| {
        let client = &world.clients[c];
        let inside = client.at == At::Over("Internal") || client.facts().then == "Internal";
        let deciding = matches!(client.at, At::Step(Step::Unlock(_))) && inside;
        match client.goal {
            Some(Goal::Connect(Policy::Internal)) => client.child.is_none() && !world.holds(Actor::Client(c)),
            Some(Goal::Connect(Policy::Robust)) => {
                (!inside || client.listed) && !(deciding && world.servers.iter().any(|server| server.serving()))
            }
            _ => !inside,
        }
    })
}

fn joins(world: &World, c: usize) -> bool {
    world.clients[c].goal == Some(Goal::Join)
}

/// A client that joins is at no step that starts a server or that follows one.
fn join_starts_nothing(world: &World) -> bool {
    clients(world).filter(|&c| joins(world, c)).all(|c| {
        let client = &world.clients[c];
        let starts = match &client.at {
            At::Step(step) => matches!(
                step,
                Step::Clear(_)
                    | Step::Spawn(_)
                    | Step::Await(_)
                    | Step::Verify(_)
                    | Step::Write(_)
                    | Step::Confirm(_)
                    | Step::Fallback(_)
                    | Step::Kill(_)
            ),
            At::Over(how) => matches!(*how, "Internal" | "Start"),
            At::Out => false,
        };
        !starts && client.child.is_none() && client.facts().then != "Internal"
    })
}

/// No step of a client that joins changes the point, the lifetime lock or a server's step.
fn join_changes_nothing(world: &World, step: &Move) -> bool {
    let Some(Actor::Client(c)) = step.who.filter(|_| step.to.left == world.left) else { return true };
    let to = &step.to;
    let same =
        |s: usize| world.servers[s].step == to.servers[s].step && world.servers[s].listens == to.servers[s].listens;
    !joins(world, c)
        || (world.files[world.current] == to.files[to.current]
            && world.current == to.current
            && world.life == to.life
            && servers(world).all(same))
}

/// A client says that no server is there only if none serves. A fault hides a server: one whose life file is gone, or
/// whose point is.
fn absent_is_true(world: &World, step: &Move) -> bool {
    let serves = |s: &usize| world.servers[*s].serving();
    clients(world).all(|c| {
        let (before, after) = (&world.clients[c].at, &step.to.clients[c]);
        match before {
            At::Step(Step::Probe(_)) if after.facts().then == "Absent" => {
                servers(world).filter(serves).all(|s| world.life_file_gone(s))
            }
            At::Step(Step::Lock(_)) if after.at == At::Over("Absent") => {
                !world.calm() || !servers(world).any(|s| serves(&s))
            }
            _ => true,
        }
    })
}

/// Returns whether the slot's servers are of an older version than the client.
fn is_older(world: &World, s: usize, c: usize) -> bool {
    world.is_old(s) && !world.is_old_client(c)
}

/// A server is asked to retire only by a client that retires it, or by one that replaces older servers by choice.
fn no_replacement_unless_chosen(world: &World, step: &Move) -> bool {
    let asks = |s: usize, c: usize| {
        let new = world.conns[c].as_ref().is_some_and(|conn| conn.to == s && conn.sent == Sent::Proved);
        let chosen = world.older == Some(Older::Replace) && is_older(world, s, c);
        new && (world.clients[c].goal == Some(Goal::Retire) || chosen)
    };
    servers(world)
        .filter(|&s| !world.servers[s].requested && step.to.servers[s].requested)
        .all(|s| clients(world).any(|c| asks(s, c)))
}

/// A client that refuses older servers is counted by none.
fn refusal_is_kept(world: &World) -> bool {
    world.older != Some(Older::Refuse)
        || servers(world).all(|s| clients(world).all(|c| !world.counts(s, c) || !is_older(world, s, c)))
}

/// A client says that the server is too old only if an older one was registered and lives.
fn too_old_is_true(world: &World, step: &Move) -> bool {
    let too_old = |client: &Client| client.at == At::Over("TooOld") || client.facts().then == "TooOld";
    let lives = |s: usize| world.servers[s].step.is_some() && world.servers[s].registered;
    clients(world).filter(|&c| too_old(&step.to.clients[c]) && !too_old(&world.clients[c])).all(|c| {
        let dialled = world.clients[c].facts().dialled.and_then(|record| world.slot_of(record));
        world.older == Some(Older::Refuse) && dialled.is_some_and(|s| is_older(world, s, c) && lives(s))
    })
}

/// Returns whether the client has not failed. A client in an unknown namespace may fail, for no client could know where
/// its server's port is.
fn well(world: &World, c: usize) -> bool {
    let client = &world.clients[c];
    match (&client.at, client.goal) {
        _ if world.site(c) == Site::Nowhere => true,
        (At::Over("Internal"), goal) => goal == Some(Goal::Connect(Policy::Internal)),
        (At::Over("Start"), goal) => goal == Some(Goal::Serve),
        (At::Over("Absent"), goal) => matches!(goal, Some(Goal::Retire | Goal::Join)),
        (At::Over("TooOld"), _) => world.older == Some(Older::Refuse) && !world.is_old_client(c),
        (At::Over(how), _) => *how == "Welcomed",
        (At::Out | At::Step(_), _) => true,
    }
}

fn no_spurious_error(world: &World) -> bool {
    // A client that has replaced a server dials once more.
    let most = |c: usize| if world.clients[c].facts().replaced.is_none() { 3 } else { 4 };
    !world.calm() || clients(world).all(|c| world.clients[c].tries <= most(c) && well(world, c))
}

/// A client that began after the last fault succeeds, unless the point belongs to other servers. The spec shows that
/// every client ends.
fn converges(world: &World) -> bool {
    let refused = |at: &At| matches!(at, At::Over("Incompatible" | "OtherDialect" | "ForeignScope"));
    world.clean.iter().all(|&c| well(world, c) || refused(&world.clients[c].at))
}

/// A client that gives up, at any step, holds nothing.
fn deadline_everywhere(world: &World) -> bool {
    clients(world).filter(|&c| matches!(world.clients[c].at, At::Step(_))).all(|c| {
        let mut world = world.clone();
        world.give_up(c, "Deadline");
        nothing_held(&world)
    })
}

fn nothing_held(world: &World) -> bool {
    clients(world).filter(|&c| !matches!(world.clients[c].at, At::Step(_))).all(|c| {
        let me = Actor::Client(c);
        !world.holds(me) && world.clients[c].child.is_none()
    })
}

/// A client parts from its child by registering it, or ends it. A connect that ends takes back the record that it wrote. A
/// client that is killed leaves both.
fn no_child_left(world: &World, step: &Move) -> bool {
    clients(world).all(|c| {
        let (before, after) = (&world.clients[c], &step.to.clients[c]);
        let Some(s) = before.child.filter(|_| before.child != after.child && after.at != At::Out) else { return true };
        let child = &step.to.servers[s];
        let parts = !child.alive() || child.pipe == Pipe::Reg;
        let over = matches!(after.at, At::Over(_));
        parts && (!over || !step.to.files.contains(&Content::Record(s)))
    })
}

/// A property of the model only: the server's gate counts exactly its connected clients.
fn the_gate_counts(world: &World) -> bool {
    servers(world).all(|s| world.servers[s].gate.counted() as usize == world.counted(s))
}

/// Returns whether the move is a fault that changes the point. Such a change is no process's.
fn damaged(step: &Move) -> bool {
    matches!(step.action, "Tear" | "Empty" | "Strange" | "PutBack" | "Delete" | "Copy")
}

/// While a server serves, only its own retirement takes its record away. A client that is about to clear the point may, if
/// the point was deleted and the record put back; and clients of a server that is hidden.
fn no_live_invalidation(world: &World, step: &Move) -> bool {
    let mine = |world: &World, s| world.files[world.current] == Content::Record(s);
    let clears = |c: usize| {
        let free = world.clients[c].free && world.locks[world.current] == Some(Actor::Client(c));
        step.action == "Clear" && step.who == Some(Actor::Client(c)) && free
    };
    let revived = world.may_revive && world.befell(2) && clients(world).any(clears);
    damaged(step)
        || revived
        || servers(world).filter(|&s| world.servers[s].serving() && mine(world, s)).all(|s| {
            let is_left = mine(&step.to, s);
            is_left || hidden(world, s)
        })
}

fn changes(world: &World, step: &Move, inode: usize) -> bool {
    world.files[inode] != step.to.files[inode] && !damaged(step)
}

fn clear_only_if_free(world: &World, step: &Move) -> bool {
    let Some(Actor::Client(c)) = step.who else { return true };
    let clears = matches!(step.action, "Clear" | "Write" | "Confirm") && changes(world, step, world.current);
    !clears || (world.holds(Actor::Client(c)) && world.clients[c].free)
}

/// A live server's socket is removed only by a fault, or by the server itself when it retires. While a life file is not made
/// again, a second fault lets a server that has one begin, or an orphan that has none go on: either removes the sockets.
fn no_cut_off(world: &World, step: &Move) -> bool {
    let fault = step.to.left != world.left;
    let swept = servers(world).any(|s| hidden(world, s));
    !claims_one(world)
        || fault
        || swept
        || servers(world).filter(|&s| world.servers[s].alive() && world.servers[s].listens).all(|s| {
            let closes = step.action == "Close" && step.who == Some(Actor::Server(s));
            step.to.servers[s].listens || closes || unguarded(world, s)
        })
}

/// Returns whether the client reads its welcome in this move, and is connected from then on.
fn reports(world: &World, step: &Move, c: usize) -> bool {
    let before = &world.clients[c].at;
    let after = &step.to.clients[c];
    matches!(before, At::Step(Step::Welcome(_)))
        && (after.at == At::Over("Welcomed") || after.facts().then == "Welcomed")
}

fn welcomed(world: &World, c: usize) -> Option<usize> {
    world.conns[c].as_ref().filter(|conn| conn.sent == Sent::Welcome).map(|conn| conn.to)
}

fn authenticity(world: &World, step: &Move) -> bool {
    clients(world).all(|c| {
        let new = welcomed(&step.to, c).filter(|_| welcomed(world, c).is_none());
        let dialled = || world.clients[c].facts().dialled.and_then(|record| world.slot_of(record));
        new.is_none_or(|s| world.servers[s].serving())
            && (!reports(world, step, c) || (welcomed(world, c).is_some() && welcomed(world, c) == dialled()))
    })
}

fn no_lost_connect(world: &World, step: &Move) -> bool {
    let counted = clients(world).all(|c| {
        let hung_up = step.to.conns[c].as_ref().is_some_and(|conn| conn.eof);
        servers(world).filter(|&s| world.counts(s, c) && hung_up).all(|s| {
            let server = &world.servers[s];
            !server.alive() || matches!(server.step, Some(serve::Step::Serving(serving::Step::Drain(_))))
        })
    });
    let retires = servers(world).all(|s| {
        let facts = world.servers[s].step.as_ref().map(serve::Step::facts).unwrap_or_default();
        let idle = facts.why == Some(Retire::Idle);
        let shuts = world.servers[s].gate.is_open() && !step.to.servers[s].gate.is_open();
        !(idle && shuts && step.action == "Look") || world.counted(s) == 0
    });
    counted && retires
}

fn lock_discipline(world: &World, step: &Move) -> bool {
    (0..2).filter(|&inode| changes(world, step, inode)).all(|inode| {
        let Some(who) = step.who.filter(|&who| world.locks[inode] == Some(who)) else { return false };
        step.action != "Withdraw" || matches!(who, Actor::Server(s) if world.files[inode] == Content::Record(s))
    })
}
