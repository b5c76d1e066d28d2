//! Replays the fuzzer's inputs in `fuzz/corpus/`, each through its target's check.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

fn replay(target: &str, check: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files: Vec<_> = fs::read_dir(&corpus).expect("a corpus").map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 10, "{} holds {} files", corpus.display(), files.len());
    for file in files {
        let bytes = fs::read(&file).unwrap();
        catch_unwind(|| check(&bytes)).unwrap_or_else(|_| panic!("{} fails", file.display()));
    }
}

#[test]
fn the_corpus_of_cookies_holds() {
    replay("cookie", checks::cookie::check);
}

#[test]
fn the_corpus_of_addresses_holds() {
    replay("address", checks::address::check);
}

#[test]
fn the_corpus_of_records_holds() {
    replay("record", checks::record::check);
}

#[test]
fn the_corpus_of_messages_holds() {
    replay("message", checks::message::check);
}

#[test]
fn the_corpus_of_handshakes_holds() {
    replay("handshake", checks::handshake::check);
}

#[test]
fn the_corpus_of_a_clients_answers_holds() {
    replay("client_ops", checks::client_ops::check);
}

#[test]
fn the_corpus_of_herds_holds() {
    replay("herd_ops", checks::herd_ops::check);
}

#[test]
fn the_corpus_of_orders_holds() {
    replay("order", checks::order::check);
}

#[test]
fn the_corpus_of_life_files_holds() {
    replay("life", checks::life::check);
}
