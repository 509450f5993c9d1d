//! Which cuts are made, drawn from a seed.

use std::collections::BTreeMap;

use provision_tests::Seed;
use provision_tests::cutting::Side;

use super::site::Phase;
use super::trial::{After, Cut};
use super::way::{Stay, Way};

/// Every cut of a run.
pub struct Schedule(Vec<Cut>);

/// A way of cutting that costs a second more than the others is drawn less often: parts of 24.
const SHARES: [(Way, u64); 6] =
    [(Way::Command, 6), (Way::Session, 5), (Way::Packets, 4), (Way::Step, 3), (Way::Program, 4), (Way::Power, 2)];

impl Schedule {
    /// Places first: those of the first apply get half of the cuts, or one each; the other ways share the rest. A place
    /// is a number of calls that were made: 0 of them, 1, ..., all.
    pub fn new(count: usize, seed: u64, calls: &BTreeMap<Phase, usize>) -> Self {
        let mut seed = Seed::new(seed);
        let mut places: BTreeMap<Phase, Vec<u32>> = BTreeMap::new();
        for (phase, calls) in calls {
            let mut all: Vec<u32> = (0..=u32::try_from(*calls).unwrap_or(0)).collect();
            seed.shuffle(&mut all);
            places.insert(*phase, all);
        }
        // A tenth at random times, between the places.
        let random = count / 10;
        let mut phases: Vec<Phase> = Vec::new();
        let first = places.get(&Phase::Create).map_or(0, Vec::len).min((count - random) / 2);
        phases.extend(std::iter::repeat_n(Phase::Create, first));
        let others = [Phase::Forth, Phase::Back, Phase::Destroy];
        phases.extend(others.iter().cycle().take(count - random - first));
        let mut cuts: Vec<Cut> = Vec::new();
        for phase in phases {
            let place = places.get_mut(&phase).and_then(Vec::pop);
            let place = place.unwrap_or_else(|| draw(&mut seed, calls, phase));
            cuts.push(cut(&mut seed, phase, (place, last(calls, phase)), None));
        }
        for phase in Phase::ALL.into_iter().cycle().take(random) {
            let place = (draw(&mut seed, calls, phase), last(calls, phase));
            let delay = seed.below(40);
            cuts.push(cut(&mut seed, phase, place, Some(delay)));
        }
        every_way(&mut cuts);
        seed.shuffle(&mut cuts);
        for (number, cut) in cuts.iter_mut().enumerate() {
            cut.number = number + 1;
        }
        Self(cuts)
    }

    /// One cut alone, by its number.
    pub fn only(self, number: u64) -> Self {
        Self(self.0.into_iter().filter(|cut| cut.number as u64 == number).collect())
    }

    /// For one of some hosts.
    pub fn share(&self, which: usize, hosts: usize) -> Vec<Cut> {
        self.0.iter().skip(which).step_by(hosts).cloned().collect()
    }
}

/// However few cuts there are, all ways are among them as far as they go.
fn every_way(cuts: &mut [Cut]) {
    for (cut, way) in cuts.iter_mut().zip(Way::ALL) {
        cut.way = way;
        if !way.leaves() {
            cut.stay = Stay::No;
        }
    }
}

fn draw(seed: &mut Seed, calls: &BTreeMap<Phase, usize>, phase: Phase) -> u32 {
    u32::try_from(seed.below(u64::from(last(calls, phase)) + 1)).unwrap_or(0)
}

/// The place after all calls.
fn last(calls: &BTreeMap<Phase, usize>, phase: Phase) -> u32 {
    calls.get(&phase).and_then(|calls| u32::try_from(*calls).ok()).unwrap_or(0)
}

fn cut(seed: &mut Seed, phase: Phase, (place, last): (u32, u32), random: Option<u64>) -> Cut {
    let mut draw = seed.below(SHARES.iter().map(|(_, share)| share).sum());
    let mut way = Way::Command;
    for (of, share) in SHARES {
        if draw < share {
            way = of;
            break;
        }
        draw -= share;
    }
    // The place after a call is the one before the next: both are there, but for the ends.
    let side = if place > 0 && (place == last || seed.chance(1, 2)) { Side::After } else { Side::Before };
    let call = if side == Side::After { place } else { place + 1 };
    let stay = if random.is_none() && way.leaves() && seed.chance(1, 3) { Stay::Yes } else { Stay::No };
    let then = if seed.chance(1, 3) { After::Rollback } else { After::Again };
    Cut { number: 0, phase, call, side, way, random, stay, then }
}

impl Cut {
    /// How many calls were made.
    pub const fn boundary(&self) -> u32 {
        match self.side {
            Side::Before => self.call.saturating_sub(1),
            Side::After => self.call,
        }
    }
}
