//! A build daemon: it runs one build at a time, for all terminals and editors.
//!
//! ```text
//! cargo run -p example-build-daemon -- run TARGET     run TARGET.sh in the daemon, and show what it prints
//! cargo run -p example-build-daemon -- status         look at the daemon, and start nothing
//! cargo run -p example-build-daemon -- stop           stop the daemon, and what it builds
//! ```

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::rc::Rc;

use clap::{Parser, Subcommand};
use rendezvous_ipc::{Context, Descriptor, ServerHandle, Stream};
use tokio::io::{AsyncBufReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufStream};
use tokio::process::Command as Process;
use tokio::sync::Mutex;

#[derive(Parser)]
#[command(name = "mk")]
struct Cli {
    /// The project, with a script TARGET.sh for each target.
    #[arg(long, global = true, default_value = ".")]
    home: PathBuf,
    /// Where the daemon is [default: org.example.mk in the user's data directory].
    #[arg(long, global = true)]
    daemon: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a target.
    Run { target: String },
    /// Look at the daemon.
    Status,
    /// Stop the daemon, and what it builds.
    Stop,
    /// Be the daemon.
    #[command(hide = true)]
    Serve,
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let cli = Cli::parse();
    let context = match &cli.daemon {
        Some(daemon) => Context::at(daemon),
        None => Context::new("org.example.mk")?,
    };
    let service = Descriptor::new(&context, "mk")?
        .this_program(["serve"]) // clap knows it; context and point come another way
        .on_wait(|waiting| eprintln!("mk: {waiting}"))
        .stream_handler(async |server| {
            let turn = Rc::new(Mutex::new(()));
            Ok(async move |_peer, stream| session(&server, &turn, stream).await)
        });
    match cli.command {
        Command::Run { target } => return run(&service, &cli.home, &target).await,
        Command::Status => println!("{}", service.inspect().await?),
        Command::Stop => println!("{}", service.retire().await?),
        Command::Serve => service.serve().await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Sends the project and the target, and prints what comes: lines of progress, and at last a status.
async fn run(service: &Descriptor, home: &Path, target: &str) -> Result<ExitCode, Box<dyn Error>> {
    let home = home.canonicalize()?; // the daemon has another working directory
    let home = home.to_str().ok_or("the project's path is not UTF-8")?;
    let mut stream = BufStream::new(service.connect().await?.into_stream());
    stream.write_all(format!("{home}\n{target}\n").as_bytes()).await?;
    stream.flush().await?;
    let mut lines = stream.lines();
    while let Some(line) = lines.next_line().await? {
        match line.strip_prefix("status ") {
            Some(status) => return Ok(ExitCode::from(status.parse::<u8>()?)),
            None => println!("{}", line.trim_start_matches("| ")),
        }
    }
    Err("the daemon has ended the connection: see its log".into())
}

/// Serves one client in the daemon.
async fn session(server: &ServerHandle, turn: &Mutex<()>, stream: Stream) -> std::io::Result<()> {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut request = BufReader::new(reader).lines();
    let (Some(home), Some(target)) = (request.next_line().await?, request.next_line().await?) else { return Ok(()) };
    // The first that is ready ends the others. A build that is dropped kills its script.
    tokio::select! {
        built = build(turn, &home, &target, &mut writer) => built,
        why = server.retiring() => writer.write_all(format!("| stopped: {why}\nstatus 1\n").as_bytes()).await,
        _ = request.next_line() => Ok(()), // the client is gone, as after Ctrl-C: it sends no third line
    }
}

async fn build(
    turn: &Mutex<()>,
    home: &str,
    target: &str,
    client: &mut (impl AsyncWrite + Unpin),
) -> std::io::Result<()> {
    let _turn = match turn.try_lock() {
        Ok(turn) => turn,
        Err(_) => {
            client.write_all(b"| waiting for another build\n").await?;
            turn.lock().await
        }
    };
    let mut script = Process::new("sh");
    script.arg(format!("{target}.sh")).current_dir(home).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut script = script.kill_on_drop(true).spawn()?;
    if let Some(output) = script.stdout.take() {
        let mut lines = BufReader::new(output).lines();
        while let Some(line) = lines.next_line().await? {
            client.write_all(format!("| {line}\n").as_bytes()).await?;
        }
    }
    let status = script.wait().await?.code().unwrap_or(1);
    client.write_all(format!("status {status}\n").as_bytes()).await
}
