//! A record that is damaged.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::contender::{Contender, Speaks};
use crate::service::micros;
use crate::turns::Plan;
use crate::{Result, ours};

/// A server restores its record once a second at most.
const PAUSE: Duration = Duration::from_millis(1200);
const LONG: Duration = Duration::from_secs(20);

/// From when another program empties the point until the record is there again. Only ours restore it.
pub async fn restore(plan: Plan) -> Result<()> {
    let mut plan = plan.without(|contender| !matches!(contender, Contender::Ours(_)));
    let (mut all, _servers) = plan.served(Speaks::Rpc).await?;
    while plan.goes_on(&mut all)? {
        tokio::time::sleep(PAUSE).await;
        for one in &mut all {
            let (contender, home) = (one.service.contender, one.home.path());
            fs::File::options().write(true).open(home.join(contender.name()))?.set_len(0)?;
            let began = Instant::now();
            while ours::record(contender, home).is_err() {
                if began.elapsed() > LONG {
                    return Err(format!("{contender} does not restore its record").into());
                }
                sleep(Duration::from_micros(200));
            }
            one.add(plan.row, "ms", micros(began) / 1e3);
        }
    }
    Ok(())
}
