//! One client that starts the server.

use std::time::Instant;

use tempfile::tempdir;

use crate::Result;
use crate::service::{Service, end, micros};
use crate::turns::Plan;

/// From no server, until the first answer of the server that is started.
pub async fn cold(mut plan: Plan) -> Result<()> {
    let mut all = plan.measured()?;
    while plan.goes_on(&mut all)? {
        for one in &mut all {
            one.clear_home()?;
            let began = Instant::now();
            let _server = one.service.ask_or_start().await?;
            one.add(plan.row, "µs", micros(began));
        }
    }
    Ok(())
}

/// From a killed server, until the first answer of its successor.
pub async fn recovery(mut plan: Plan) -> Result<()> {
    let mut all = plan.measured()?;
    while plan.goes_on(&mut all)? {
        for one in &mut all {
            one.clear_home()?;
            drop(one.service.start().await?);
            let began = Instant::now();
            let _server = one.service.ask_or_start().await?;
            one.add(plan.row, "µs", micros(began));
        }
    }
    Ok(())
}

/// A server in a thread of this process, from its start to its first answer.
pub async fn internal(mut plan: Plan) -> Result<()> {
    let mut all = plan.measured()?;
    while plan.goes_on(&mut all)? {
        for one in &mut all {
            // A server of the same point would wait for the end of the previous one.
            one.home = tempdir()?;
            one.service = Service::at(one.service.contender, one.home.path())?;
            let began = Instant::now();
            let connection = one.service.ask_internal().await?;
            one.add(plan.row, "µs", micros(began));
            end(connection).await;
        }
    }
    Ok(())
}
