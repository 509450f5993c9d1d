//! Images on their way out: a name in podman's store, and an image itself, whatever has its name by now.

use super::{Back, Takeback, one};
use crate::change::Shown;
use crate::object::Was;
use crate::probe::{Answers, Undecided};
use crate::step::Data;
use crate::systemd::Managed;

impl Takeback<'_> {
    /// What a name is put back to.
    pub(super) fn image(&self, name: &Managed, was: &Was, answers: &Answers) -> Result<Back, Undecided> {
        let images = answers.images(&name.manager).map_or(&[][..], Vec::as_slice);
        let now = images.iter().find(|image| image.names.contains(&name.name)).map(|image| &image.id);
        let name = name.spelled();
        let short = |id: &String| id.get(..12).unwrap_or(id).to_owned();
        Ok(match (was, now) {
            (Was::Image(before), Some(now)) if before == now => Back::Same,
            (Was::Image(before), now) => {
                Back::Changes(vec![one(format!("image {name}"), now.map(short).into(), short(before).into())])
            }
            (_, None) => Back::Same,
            (_, Some(now)) => self.data(|| one(format!("image {name}"), short(now).into(), Shown::Absent)),
        })
    }

    /// An image that a plan has brought, whatever has its name by now. Under somebody else's name it is theirs.
    pub(super) fn image_itself(&self, id: &Managed, was: &Was, answers: &Answers) -> Back {
        let images = answers.images(&id.manager).map_or(&[][..], Vec::as_slice);
        if *was != Was::Absent || images.iter().all(|image| image.id != id.name) {
            return Back::Same;
        }
        if self.data == Data::Delete && is_named(id, answers) {
            return Back::Same;
        }
        self.data(|| one(short_name(id), "present".into(), Shown::Absent))
    }
}

/// Whether an image has a name.
pub(super) fn is_named(id: &Managed, answers: &Answers) -> bool {
    answers
        .images(&id.manager)
        .is_ok_and(|images| images.iter().any(|image| image.id == id.name && !image.names.is_empty()))
}

/// What an image without a name is called.
pub(super) fn short_name(id: &Managed) -> String {
    let short = Managed::new(&id.manager, id.name.get(..12).unwrap_or(&id.name));
    format!("image {}", short.spelled())
}
