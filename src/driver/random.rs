//! Random bytes from the system. No other file of the driver draws any.

use std::time::Duration;

use super::os;
use crate::error::Error;
use crate::proto::random::Random;
use crate::proto::timing::Pause;
use crate::stage::Stage;

/// Draws what one cookie or one nonce is made of.
pub(crate) fn draw() -> Result<Random, Error> {
    bytes().map(Random::drawn)
}

/// Draws bytes for what is no secret: the length of a pause, the name of a socket.
pub(super) fn bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    os::random::fill(&mut bytes).map_err(|source| Error::System { stage: Stage::Dial, source })?;
    Ok(bytes)
}

/// Returns the next of the pauses between tries.
pub(super) fn pause(pause: &mut Pause) -> Result<Duration, Error> {
    let [random] = bytes()?;
    Ok(pause.next(random))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::cookie::Cookie;
    use crate::proto::handshake::{Hello, Intent, Party};
    use crate::proto::identity::Identity;

    #[test]
    fn no_two_cookies_and_no_two_nonces_are_equal() {
        let party = Party::at(Identity::of(9, 0, b"point"));
        let cookies: Vec<_> = (0..64).map(|_| Cookie::drawn(draw().unwrap())).collect();
        let nonces: Vec<_> = (0..64).map(|_| Hello::new(Intent::Connect, party, draw().unwrap()).nonce()).collect();
        for at in 0..64 {
            assert!(!cookies[..at].contains(&cookies[at]) && !nonces[..at].contains(&nonces[at]), "draw {at}");
        }
    }
}
