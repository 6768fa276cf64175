//! A client that does its worst, one attack at a time, and what another client notices of it.
//!
//! The load is paced: what is asked is not how much a replica can do beside an attack on the same cores, but
//! whether somebody who needs little of it still gets that, and how long it takes.

use std::env;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use holdfast_tests::process::Process;

use super::Point;
use crate::attacks::{ATTEMPTS, Attack, arguments};
use crate::bench::{Bench, Label};
use crate::load::Work;
use crate::measure::Role;
use crate::sample::Figures;
use crate::slice::Slice;
use crate::systems::{Guarded, System, start_guarded};

const WORKERS: u64 = 16;
/// An attacker has a machine of its own elsewhere; here it gets what the others leave.
const NICE: &str = "5";
const STARTING: Duration = Duration::from_secs(30);
/// So much is compared with the same load alone.
const COMPARED: [&str; 3] = ["cycles_per_s", "acquire_p50_us", "acquire_p99_us"];

pub(super) async fn measure(bench: &mut Bench, repetition: u32) {
    let attacks = Attack::value_variants();
    for system in bench.systems(|system| system == System::Holdfast) {
        for (limited, attacks) in [(true, attacks), (false, &[Attack::Calls, Attack::Messages])] {
            let slice = bench.slice(system, Work::Paced, WORKERS);
            let named = if limited { "" } else { "without limits: " };
            let scene = match start_guarded(limited).await {
                Ok(scene) => scene,
                Err(error) => {
                    let system = format!("{named}alone");
                    let label = Label { point: Point::Hostile, system, size: WORKERS, repetition };
                    bench.record(label, Err(error));
                    continue;
                }
            };
            let mut alone = None;
            for attack in std::iter::once(None).chain(attacks.iter().copied().map(Some)) {
                let measured = beside(slice, &scene, attack, bench.everybody()).await;
                let measured = measured.map(|figures| compared(figures, &mut alone));
                let name = attack.map_or_else(|| "alone".to_owned(), Attack::name);
                let system = format!("{named}{name}");
                let label = Label { point: Point::Hostile, system, size: WORKERS, repetition };
                bench.record(label, measured);
            }
        }
    }
}

async fn beside(
    slice: Slice,
    scene: &Guarded,
    attack: Option<Attack>,
    idle: Role,
) -> Result<Figures> {
    let Some(attack) = attack else {
        return slice.start(&scene.servers, idle)?.measuring().await?.finish().await;
    };
    let mut attacker = start(attack, scene)?;
    attacker.wait_for_line(ATTEMPTS, STARTING).await?;
    let loading = slice.start(&scene.servers, idle)?;
    let loading = loading.beside(Role::new("attacker", [attacker.id()]));
    let mut figures = loading.measuring().await?.finish().await?;
    let rate = attacker.lines().iter().rev().find_map(|line| {
        let rate = line.split_once(ATTEMPTS)?.1;
        rate.trim().parse::<f64>().ok()
    });
    figures.insert("attempts_per_s".to_owned(), rate.context("how often it tried")?);
    attacker.kill()?;
    Ok(figures)
}

fn start(attack: Attack, scene: &Guarded) -> Result<Process> {
    let address = scene.servers.addresses.first().context("an address")?;
    let arguments = arguments(attack, address, &scene.stranger);
    let program = env::current_exe()?;
    Process::spawn(format!("attack: {}", attack.name()), "nice", |command| {
        command.args(["-n", NICE]).arg(program).args(arguments);
    })
}

/// What it is of the first.
fn compared(mut figures: Figures, alone: &mut Option<Figures>) -> Figures {
    let alone = alone.get_or_insert_with(|| figures.clone());
    for name in COMPARED {
        if let (Some(figure), Some(of)) = (figures.get(name), alone.get(name)) {
            let ratio = figure / of;
            figures.insert(format!("{name}_of_alone"), ratio);
        }
    }
    figures
}
