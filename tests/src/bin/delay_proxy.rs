//! `delay_proxy LISTEN TARGET MILLISECONDS`: the delay proxy as a process, to run in a network namespace. Says on its
//! first line where it listens, for a LISTEN with port 0.

use std::error::Error;
use std::io::{self, Write};
use std::net::TcpListener;
use std::time::Duration;

use provision_tests::delay;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [listen, target, milliseconds] = arguments.as_slice() else {
        return Err("usage: delay_proxy LISTEN TARGET MILLISECONDS".into());
    };
    let listener = TcpListener::bind(listen)?;
    writeln!(io::stdout(), "{}", listener.local_addr()?)?;
    delay::serve(&listener, target.parse()?, Duration::from_millis(milliseconds.parse()?))?;
    Ok(())
}
