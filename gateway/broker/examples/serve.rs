//! A broker by itself, for other programs to try: `cargo run -p broker --example serve -- 127.0.0.1:1883 FOLDER`.

use broker::{Limits, Settings};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let mut settings = Settings::new(words.next().as_deref().unwrap_or("127.0.0.1:0").parse()?);
    settings.folder = words.next().map(Into::into);
    settings.limits = Limits { rate: 0, ..Limits::default() };
    let broker = broker::start(settings)?;
    println!("{}", broker.address);
    // Until standard input ends.
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}
