//! A collection in CMR, as a user names it.

use std::fmt;
use std::str::FromStr;

use super::granule::is_concept_id;
use crate::error::Error;

/// A collection in CMR, as a user names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Collection {
    /// `C1996881146-POCLOUD`
    Concept(String),
    /// A short name, and a version unless the newest is wanted.
    Named {
        /// CMR's `ShortName`.
        short_name: String,
        /// CMR's `Version`.
        version: Option<String>,
    },
}

impl FromStr for Collection {
    type Err = Error;

    /// Reads what follows `collection:`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let (short_name, version) =
            text.split_once('@').map_or((text, None), |(name, version)| (name, Some(version)));
        if short_name.is_empty() || version == Some("") {
            return Err(Error::usage(
                "write a collection as collection:SHORT_NAME, collection:SHORT_NAME@VERSION or \
                 collection:CONCEPT_ID",
            ));
        }
        if version.is_none() && is_concept_id(text, 'C') {
            return Ok(Self::Concept(text.into()));
        }
        Ok(Self::Named { short_name: short_name.into(), version: version.map(Into::into) })
    }
}

impl fmt::Display for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Concept(id) => f.write_str(id),
            Self::Named { short_name, version: None } => f.write_str(short_name),
            Self::Named { short_name, version: Some(version) } => {
                write!(f, "{short_name} version {version}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_has_a_short_name_or_a_concept_id() {
        let named = |short_name: &str, version: Option<&str>| Collection::Named {
            short_name: short_name.into(),
            version: version.map(Into::into),
        };
        for (text, collection) in [
            ("MUR-JPL-L4-GLOB-v4.1", named("MUR-JPL-L4-GLOB-v4.1", None)),
            ("ATL03@006", named("ATL03", Some("006"))),
            ("C1996881146-POCLOUD", Collection::Concept("C1996881146-POCLOUD".into())),
            (" ATL03", named("ATL03", None)),
            ("C-BAND", named("C-BAND", None)),
            ("C123", named("C123", None)),
            (
                "ASCATB-L2-25km@Operational/Near-Real-Time",
                named("ASCATB-L2-25km", Some("Operational/Near-Real-Time")),
            ),
        ] {
            assert_eq!(text.parse::<Collection>().unwrap(), collection, "{text}");
        }
        for text in ["", " ", "@6", "ATL03@"] {
            assert!(text.parse::<Collection>().is_err(), "{text}");
        }
    }
}
