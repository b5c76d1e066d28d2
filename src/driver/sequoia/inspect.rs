//! Status in the dialect: reads the point, and dials what it says.

use tokio::time::Instant;

use super::super::files::point;
use super::super::net::socket;
use super::super::net::timed;
use crate::error::Error;
use crate::found::Malformed;
use crate::proto::sequoia::inspect::{Verdict, dialled, found};
use crate::proto::sequoia::record::Found;
use crate::service::Service;
use crate::stage::Stage;
use crate::status::Status;

/// Inspects a point. It takes no lock, and sends nothing to the process that listens.
pub(in crate::driver) async fn inspect(service: &Service) -> Result<Status, Error> {
    let mut suspicion = None;
    let verdict = match found(point::read_as(&service.point, Found::read)?) {
        Err(verdict) => verdict,
        Ok(record) => {
            let address = record.address();
            match timed::connect(&service.point, address, Instant::now() + service.limits.patience).await {
                Ok(_) => dialled(address, Ok(())),
                Err(error) => {
                    let failure = error.failure();
                    suspicion = Some(error.suspicion(None, socket::endpoint(&service.point, address), Stage::Dial)?);
                    dialled(address, Err(failure))
                }
            }
        }
    };
    Ok(match verdict {
        Verdict::Listening(address) => Status::Listening { address: socket::endpoint(&service.point, address) },
        Verdict::Absent => Status::Absent,
        Verdict::Malformed(malformed) => Status::Malformed(Malformed::of(malformed)),
        Verdict::OtherDialect => Status::OtherDialect,
        Verdict::Gone => Status::Gone { pid: None },
        Verdict::Unknown(_) => Status::Unknown(suspicion.ok_or_else(|| Error::missing("a suspicion"))?),
    })
}
