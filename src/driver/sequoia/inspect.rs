//! Status in the dialect: what the record says, and whether anybody listens there.

use tokio::time::Instant;

use super::super::dial;
use super::super::point;
use crate::error::Error;
use crate::proto::sequoia::connect::{Class, class};
use crate::proto::sequoia::record::Found;
use crate::service::Service;
use crate::status::Status;

/// Looks at a point. Takes no lock, and says nothing to whoever listens.
pub(in crate::driver) async fn inspect(service: &Service) -> Result<Status, Error> {
    let record = match point::read_as(&service.point, Found::read)? {
        None | Some(Found::Absent | Found::Empty) => return Ok(Status::Absent),
        Some(Found::Malformed(malformed)) => return Ok(Status::Malformed(malformed)),
        Some(Found::OtherDialect) => return Ok(Status::OtherDialect),
        Some(Found::Record(record)) => record,
    };
    let address = record.address();
    match dial::connect(&service.point, address, Instant::now() + service.limits.patience).await {
        Ok(_) => Ok(Status::Listening { address }),
        Err(trouble) => {
            let suspicion = trouble.suspicion(0, address, "Dial").map_err(Error::system("Dial"))?;
            Ok(match class(suspicion.came) {
                Class::Dead => Status::Gone { pid: 0 },
                _ => Status::Unknown(suspicion),
            })
        }
    }
}
