//! A cookie has exactly one spelling, and so has the order that carries it.

use std::time::Duration;

use rendezvous_ipc::proto::cookie::Cookie;
use rendezvous_ipc::proto::pipes::Order;

use crate::{hex, unhex};

/// Reads the bytes as a cookie and as an order. Each read must succeed exactly if the bytes are a spelling.
pub fn check(bytes: &[u8]) {
    let text = str::from_utf8(bytes).unwrap_or("");
    assert_eq!(Cookie::from_hex(text), expected(text), "{text:?}");
    assert_eq!(Order::read(bytes), expected_order(bytes), "{:?}", String::from_utf8_lossy(bytes));
    if let Ok(bytes) = bytes.try_into() {
        let cookie = Cookie::new(bytes);
        assert_eq!(Cookie::from_hex(&hex(&bytes)), Some(cookie.clone()));
        let order = Order { cookie, budget: Duration::from_millis(bytes[0].into()) };
        assert_eq!(Order::read(&order.line()), Some(order));
    }
}

fn expected(text: &str) -> Option<Cookie> {
    unhex(text).filter(|bytes| hex(bytes) == text).map(Cookie::new)
}

fn expected_order(bytes: &[u8]) -> Option<Order> {
    let text = str::from_utf8(bytes).ok()?;
    let mut words = text.split_whitespace().skip(2);
    let (cookie, millis) = (unhex(words.next()?)?, words.next()?.parse().ok()?);
    let spelled = format!("rendezvous start {} {millis}\n", hex(&cookie));
    (spelled == text).then(|| Order { cookie: Cookie::new(cookie), budget: Duration::from_millis(millis) })
}
