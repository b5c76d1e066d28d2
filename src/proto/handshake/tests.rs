mod transcripts;

use super::*;
use crate::proto::cookie::Cookie;
use crate::proto::hex::{self, Hex};
use crate::proto::record::Record;
use crate::proto::record::tests::sample;
use crate::proto::scope::Scope;

const OURS: Random = Random::drawn([5; 32]);
const THEIRS: Random = Random::drawn([6; 32]);
const REFUSED_BY_1: &str = "0606060606060606060606060606060606060606060606060606060606060606\
                            01000100000007\
                            7c4bb1fb215b08bd52031fc8bfee0b1c6522f50d5de59738aeed52f433e0193a";

const REFUSES_1: &str = "0606060606060606060606060606060606060606060606060606060606060606\
                         01000200000007\
                         07b7f2babcf8868c985c4944d09914e785945c491f765fc3ec4196fb3e86ccf1";

fn hex(bytes: &[u8]) -> String {
    format!("{:x}", Hex(bytes))
}

fn party() -> Party {
    Party { service: 7, ..Party::at(Identity::of(9, 1, b"point")) }
}

fn elsewhere() -> Party {
    Party { point: Identity::of(9, 2, b"point"), ..party() }
}

fn welcome() -> Welcome {
    let tag = Tag::new("test").unwrap();
    Welcome { pid: 1, service: 2, uptime: 3, clients: 4, welcomed: 5, refused: 6, restored: 7, tag }
}

fn hello() -> Hello {
    Hello::new(Intent::Connect, party(), OURS)
}

fn prove(hello: &Hello) -> Prove {
    Prove::hello(&hello.to_bytes(), party(), THEIRS).unwrap()
}

/// Runs a handshake up to the welcome. Each side has its own idea of the record, and of itself.
fn run(
    client: (&Record, Party),
    server: (&Record, Party),
    intent: Intent,
    admission: Admission,
) -> (Option<Asked>, Result<Welcome, Rejected>) {
    let hello = Hello::new(intent, client.1, OURS);
    let prove = Prove::hello(&hello.to_bytes(), server.1, THEIRS).unwrap();
    let agreed = match hello.judge(client.0, &prove.to_bytes(server.0)) {
        Ok(agreed) => agreed,
        Err(rejected) => return (None, Err(rejected)),
    };
    let asked = prove.judge(server.0, &agreed.proof(client.0)).expect("the server admits the client that admits it");
    let welcomed = agreed.judge(client.0, &asked.reply(server.0, admission, welcome()));
    (Some(asked), welcomed)
}

#[test]
fn two_sides_that_know_the_cookie_agree_on_what_each_states() {
    let record = sample();
    let tag = Tag::new("test").unwrap();
    for intent in [Intent::Connect, Intent::Status, Intent::Retire] {
        let client = Party { tag, service: 9, ..party() };
        let (asked, welcomed) = run((&record, client), (&record, party()), intent, Admission::Welcome);
        let asked = asked.unwrap();
        assert_eq!((asked.intent, asked.tag, asked.service), (intent, tag, 9));
        assert_eq!(welcomed, Ok(welcome()));
    }
}

#[test]
fn a_client_rejects_another_cookie_address_scope_or_point() {
    let mine = sample();
    let rejected = |other: &Record, party_there| {
        run((&mine, party()), (other, party_there), Intent::Connect, Admission::Welcome).1
    };
    for other in [
        Record { cookie: Cookie::new([4; 32]), ..mine.clone() },
        Record { address: "127.0.0.1:4712".parse().unwrap(), ..mine.clone() },
        Record { address: "[::1]:4711".parse().unwrap(), ..mine.clone() },
        Record { address: "unix:00112233aabbccdd".parse().unwrap(), ..mine.clone() },
        Record { scope: Scope { namespace: 1, ..mine.scope }, ..mine.clone() },
        Record { scope: Scope { boot: [9; 16], ..mine.scope }, ..mine.clone() },
        Record { scope: Scope { machine: None, ..mine.scope }, ..mine.clone() },
    ] {
        assert_eq!(rejected(&other, party()), Err(Rejected::WrongProof), "{other:?}");
    }
    assert_eq!(rejected(&mine, elsewhere()), Err(Rejected::WrongProof), "the server of a copied home");
}

#[test]
fn a_message_with_any_byte_changed_is_wrong() {
    let record = sample();
    let (hello, flip) = (hello(), |bytes: &mut [u8], at: usize| bytes[at] ^= 0x40);
    let prove = prove(&hello);
    let good = prove.to_bytes(&record);
    for at in 0..good.len() {
        let mut bad = good;
        flip(&mut bad, at);
        assert_eq!(hello.judge(&record, &bad), Err(Rejected::WrongProof), "byte {at}");
    }
    let agreed = hello.judge(&record, &good).unwrap();
    let good = agreed.proof(&record);
    for at in 0..good.len() {
        let mut bad = good;
        flip(&mut bad, at);
        assert_eq!(prove.judge(&record, &bad), None, "byte {at}");
    }
    let asked = prove.judge(&record, &good).unwrap();
    for admission in [Admission::Welcome, Admission::Full] {
        let good = asked.reply(&record, admission, welcome());
        for at in 0..good.len() {
            let mut bad = good;
            flip(&mut bad, at);
            assert_eq!(agreed.judge(&record, &bad), Err(Rejected::InvalidReply), "byte {at}");
        }
    }
}

#[test]
fn each_byte_of_a_hello_but_the_magic_is_covered_by_all_three_macs() {
    let record = sample();
    let sent = hello().to_bytes();
    for at in 4..HELLO {
        let mut altered = sent;
        altered[at] ^= 1;
        let prove = Prove::hello(&altered, party(), THEIRS).unwrap();
        assert_eq!(hello().judge(&record, &prove.to_bytes(&record)), Err(Rejected::WrongProof), "byte {at}");
    }
}

#[test]
fn no_message_is_taken_for_another_one() {
    let record = sample();
    let hello = hello();
    let prove = prove(&hello);
    let server = prove.to_bytes(&record);
    let agreed = hello.judge(&record, &server).unwrap();
    let client = agreed.proof(&record);
    let mut reflected = client;
    reflected[CLIENT_PROOF - MAC..].copy_from_slice(&server[SERVER_PROOF - MAC..]);
    assert_eq!(prove.judge(&record, &reflected), None);
    let mut reflected = server;
    reflected[SERVER_PROOF - MAC..].copy_from_slice(&client[CLIENT_PROOF - MAC..]);
    assert_eq!(hello.judge(&record, &reflected), Err(Rejected::WrongProof));
}

#[test]
fn the_three_macs_of_one_text_differ() {
    let record = sample();
    let hello = hello();
    let transcript = hello.wire.answered(Nonce([6; 32]), [0; answer::LEN], party());
    let mac = |role| transcript.mac(&record, role, &[]);
    use super::transcript::Role::*;
    assert!(mac(Client) != mac(Server) && mac(Server) != mac(Admission) && mac(Client) != mac(Admission));
}

#[test]
fn a_message_of_another_handshake_is_wrong() {
    let record = sample();
    let hello = hello();
    let prove = prove(&hello);
    let again = Hello::new(Intent::Connect, party(), Random::drawn([7; 32]));
    assert_eq!(again.judge(&record, &prove.to_bytes(&record)), Err(Rejected::WrongProof), "the client's nonce");
    let agreed = hello.judge(&record, &prove.to_bytes(&record)).unwrap();
    let prove_again = Prove::hello(&hello.to_bytes(), party(), Random::drawn([8; 32])).unwrap();
    assert_eq!(prove_again.judge(&record, &agreed.proof(&record)), None, "the server's nonce");
    let agreed_again = hello.judge(&record, &prove_again.to_bytes(&record)).unwrap();
    let asked = prove.judge(&record, &agreed.proof(&record)).unwrap();
    let welcome = asked.reply(&record, Admission::Welcome, welcome());
    assert_eq!(agreed_again.judge(&record, &welcome), Err(Rejected::InvalidReply), "the nonce in a welcome");
}

#[test]
fn each_admission_is_proved_and_has_one_meaning() {
    let record = sample();
    for (admission, meaning) in [
        (Admission::Welcome, Ok(welcome())),
        (Admission::OtherProtocol, Err(Rejected::OtherProtocol(welcome().tag))),
        (Admission::Full, Err(Rejected::Full(4))),
        (Admission::TurnedAway, Err(Rejected::TurnedAway(4))),
    ] {
        let (_, judged) = run((&record, party()), (&record, party()), Intent::Connect, admission);
        assert_eq!(judged, meaning);
    }
}

#[test]
fn only_a_client_that_wants_to_be_served_needs_the_servers_protocol() {
    let (one, other) = (Tag::new("one").unwrap(), Tag::new("other").unwrap());
    for (intent, client, server, told) in [
        (Intent::Connect, one, other, true),
        (Intent::Connect, one, one, false),
        (Intent::Connect, Tag::NONE, one, false),
        (Intent::Connect, one, Tag::NONE, false),
        (Intent::Status, one, other, false),
        (Intent::Retire, one, other, false),
    ] {
        let record = sample();
        let client = Party { tag: client, ..party() };
        let (asked, _) = run((&record, client), (&record, party()), intent, Admission::Welcome);
        assert_eq!(asked.unwrap().speaks_another(&server), told, "{intent:?}");
    }
}

#[test]
fn a_refusal_is_proved_and_ends_the_handshake() {
    let record = sample();
    let (mut newer, mut unknown) = (hello(), hello());
    newer.wire.version = 9;
    unknown.wire.intent = 77;
    for (hello, verdict) in [(newer, Verdict::VersionUnsupported), (unknown, Verdict::IntentUnsupported)] {
        let prove = Prove::hello(&hello.to_bytes(), party(), THEIRS).unwrap();
        assert!(prove.refuses());
        let answer = Answer { verdict, protocol: PROTOCOL, service: 7 };
        let mut bytes = prove.to_bytes(&record);
        assert_eq!(hello.judge(&record, &bytes), Err(Rejected::Unsupported(answer)));
        bytes[32] = Verdict::Yes as u8;
        assert_eq!(hello.judge(&record, &bytes), Err(Rejected::WrongProof));
    }
}

#[test]
fn a_server_of_version_1_refuses_this_client_and_is_understood() {
    let refused: [u8; SERVER_PROOF] = hex::decode(REFUSED_BY_1).unwrap();
    let answer = Answer { verdict: Verdict::VersionUnsupported, protocol: 1, service: 7 };
    assert_eq!(hello().judge(&sample(), &refused), Err(Rejected::Unsupported(answer)));
    let mut accepts = refused;
    accepts[32] = 0;
    assert_eq!(hello().judge(&sample(), &accepts), Err(Rejected::WrongProof));
}

/// A client of version 1 takes this answer for *the server speaks version 2*.
#[test]
fn a_client_of_version_1_is_refused_as_that_version_would_refuse_it() {
    let mut hello = [5; HELLO];
    hello[..7].copy_from_slice(b"RDVZ\x00\x01\x01");
    let prove = Prove::hello(&hello, party(), THEIRS).unwrap();
    assert!(prove.refuses());
    assert_eq!(hex(&prove.to_bytes(&sample())), REFUSES_1);
}

#[test]
fn a_yes_of_another_version_is_no_answer() {
    let hello = hello();
    let answer = Answer { verdict: Verdict::Yes, protocol: 1, service: 7 }.to_bytes();
    let transcript = hello.wire.answered(Nonce([6; 32]), answer, party());
    let mac = transcript.mac(&sample(), super::transcript::Role::Server, &[]);
    let bytes: [u8; SERVER_PROOF] = [&[6; 32][..], &answer, &mac].concat().try_into().unwrap();
    assert_eq!(hello.judge(&sample(), &bytes), Err(Rejected::InvalidReply));
}

/// A change of these bytes is another version of the handshake.
#[test]
fn the_bytes_of_version_2_stay_as_they_are() {
    let record = sample();
    let tag = Tag::new("capnp-0x8e5322c1e9282534").unwrap();
    let hello = Hello::new(Intent::Connect, Party { tag, ..party() }, OURS);
    let prove = prove(&hello);
    let agreed = hello.judge(&record, &prove.to_bytes(&record)).unwrap();
    let proof = agreed.proof(&record);
    let asked = prove.judge(&record, &proof).unwrap();
    assert_eq!(
        hex(&hello.to_bytes()),
        "5244565a00020105050505050505050505050505050505050505050505050505\
         05050505050505"
    );
    assert_eq!(
        hex(&prove.to_bytes(&record)),
        "0606060606060606060606060606060606060606060606060606060606060606\
         000002000000077d87dd67b89f7a94828b5aa8222831ac7fcc6be5e2f63b6287\
         d5bed7d0f27693"
    );
    assert_eq!(
        hex(&proof),
        "6361706e702d3078386535333232633165393238323533340000000000000000\
         0000000783d38f2a479f32eb943fa1c4fa76494a322bff990fc17a76782df010\
         89173946"
    );
    assert_eq!(
        hex(&asked.reply(&record, Admission::Welcome, welcome())),
        "5700000001000000020000000000000003000000040000000000000005000000\
         0000000006000000000000000774657374000000000000000000000000000000\
         000000000000000000000000004d659e89629ecaf11dd5226acb71dbcdeb1d59\
         1ac999a9708b7d1e8ebc02f063"
    );
}

#[test]
fn a_refusal_shows_both_versions() {
    let answer = Answer { verdict: Verdict::VersionUnsupported, protocol: 9, service: 3 };
    assert_eq!(answer.to_string(), "the server speaks version 9 of the handshake, this program 2");
}

#[test]
fn bytes_without_the_magic_are_not_a_hello() {
    let mut bytes = hello().to_bytes();
    bytes[0] ^= 1;
    assert_eq!(Prove::hello(&bytes, party(), THEIRS), None);
}

#[test]
fn no_message_contains_the_cookie() {
    let record = sample();
    let hello = hello();
    let prove = prove(&hello);
    let agreed = hello.judge(&record, &prove.to_bytes(&record)).unwrap();
    let proof = agreed.proof(&record);
    let last = prove.judge(&record, &proof).unwrap().reply(&record, Admission::Welcome, welcome());
    let wire = [&hello.to_bytes()[..], &prove.to_bytes(&record), &proof, &last].concat();
    assert!(!wire.windows(4).any(|window| window == [3; 4]));
}
