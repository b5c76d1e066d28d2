//! The manual: what an item's own page cannot say.
//!
//! Each page is also a file in `docs/manual`. The [front page](crate) gets you to a server in five minutes.

#[doc = include_str!("../docs/manual/guarantees.md")]
pub mod guarantees {}

#[doc = include_str!("../docs/threats.md")]
pub mod threats {}

#[doc = include_str!("../docs/manual/life_of_a_server.md")]
pub mod life_of_a_server {}

#[doc = include_str!("../docs/manual/arguments.md")]
pub mod arguments {}

#[doc = include_str!("../docs/manual/command_line.md")]
pub mod command_line {}

#[doc = include_str!("../docs/manual/http.md")]
pub mod http {}

#[doc = include_str!("../docs/manual/grpc.md")]
pub mod grpc {}

#[doc = include_str!("../docs/manual/build_daemon.md")]
pub mod build_daemon {}

#[doc = include_str!("../docs/manual/schema.md")]
pub mod schema {}

#[doc = include_str!("../docs/manual/many_cores.md")]
pub mod many_cores {}

#[doc = include_str!("../docs/manual/waiting.md")]
pub mod waiting {}

#[doc = include_str!("../docs/manual/blocking.md")]
pub mod blocking {}

#[doc = include_str!("../docs/manual/errors.md")]
pub mod errors {}

#[doc = include_str!("../docs/manual/platforms.md")]
pub mod platforms {}

#[doc = include_str!("../docs/manual/migrating.md")]
pub mod migrating {}

#[doc = include_str!("../docs/sequoia.md")]
pub mod sequoia {}

#[doc = include_str!("../docs/manual/testing.md")]
pub mod testing {}
