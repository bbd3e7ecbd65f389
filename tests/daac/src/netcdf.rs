//! A writer of the netCDF classic format in its 64-bit offset variant (CDF-2).
//!
//! As "The NetCDF Classic Format Specification" says, everything is big-endian, and names and
//! values are padded to four bytes.

const DIMENSIONS: u32 = 0x0a;
const VARIABLES: u32 = 0x0b;
const ATTRIBUTES: u32 = 0x0c;

/// Values of one of the external types.
#[derive(Clone, Debug)]
pub(crate) enum Values {
    Text(String),
    Shorts(Vec<i16>),
    Ints(Vec<i32>),
    Floats(Vec<f32>),
    Doubles(Vec<f64>),
}

/// Attributes in order.
pub(crate) type Attributes = Vec<(&'static str, Values)>;

/// A variable; its dimensions are positions in [`File::dimensions`].
pub(crate) struct Variable {
    pub(crate) name: &'static str,
    pub(crate) dimensions: Vec<usize>,
    pub(crate) attributes: Attributes,
    pub(crate) values: Values,
}

/// A file without record dimension.
pub(crate) struct File {
    pub(crate) dimensions: Vec<(&'static str, u32)>,
    pub(crate) attributes: Attributes,
    pub(crate) variables: Vec<Variable>,
}

impl From<&str> for Values {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Values {
    fn code(&self) -> u32 {
        match self {
            Self::Text(_) => 2,
            Self::Shorts(_) => 3,
            Self::Ints(_) => 4,
            Self::Floats(_) => 5,
            Self::Doubles(_) => 6,
        }
    }

    fn count(&self) -> u32 {
        let count = match self {
            Self::Text(text) => text.len(),
            Self::Shorts(values) => values.len(),
            Self::Ints(values) => values.len(),
            Self::Floats(values) => values.len(),
            Self::Doubles(values) => values.len(),
        };
        count as u32
    }

    /// Returns the values as the file has them, padded.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::Shorts(values) => values.iter().flat_map(|value| value.to_be_bytes()).collect(),
            Self::Ints(values) => values.iter().flat_map(|value| value.to_be_bytes()).collect(),
            Self::Floats(values) => values.iter().flat_map(|value| value.to_be_bytes()).collect(),
            Self::Doubles(values) => values.iter().flat_map(|value| value.to_be_bytes()).collect(),
        };
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }
}

impl File {
    /// Returns the bytes of the file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let data: Vec<_> = self.variables.iter().map(|variable| variable.values.bytes()).collect();
        // The header's length does not depend on the offsets in it, so a first header tells where
        // the data begin.
        let mut bytes = self.header(0, &data);
        let start = bytes.len() as u64;
        bytes = self.header(start, &data);
        bytes.extend(data.concat());
        bytes
    }

    fn header(&self, start: u64, data: &[Vec<u8>]) -> Vec<u8> {
        let mut header = b"CDF\x02".to_vec();
        number(&mut header, 0);
        list(&mut header, DIMENSIONS, self.dimensions.len());
        for (dimension, length) in &self.dimensions {
            name(&mut header, dimension);
            number(&mut header, *length);
        }
        attributes(&mut header, &self.attributes);
        list(&mut header, VARIABLES, self.variables.len());
        let mut begin = start;
        for (variable, data) in self.variables.iter().zip(data) {
            name(&mut header, variable.name);
            number(&mut header, variable.dimensions.len() as u32);
            for dimension in &variable.dimensions {
                number(&mut header, *dimension as u32);
            }
            attributes(&mut header, &variable.attributes);
            number(&mut header, variable.values.code());
            number(&mut header, data.len() as u32);
            header.extend(begin.to_be_bytes());
            begin += data.len() as u64;
        }
        header
    }
}

fn attributes(header: &mut Vec<u8>, attributes: &Attributes) {
    list(header, ATTRIBUTES, attributes.len());
    for (attribute, values) in attributes {
        name(header, attribute);
        number(header, values.code());
        number(header, values.count());
        header.extend(values.bytes());
    }
}

/// Writes the head of a list; an empty list is two zeros.
fn list(header: &mut Vec<u8>, tag: u32, length: usize) {
    number(header, if length == 0 { 0 } else { tag });
    number(header, length as u32);
}

fn name(header: &mut Vec<u8>, name: &str) {
    number(header, name.len() as u32);
    header.extend(Values::from(name).bytes());
}

fn number(header: &mut Vec<u8>, value: u32) {
    header.extend(value.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The specification's own example, a dimension and a variable `vx(dim)` of five values, here
    /// as shorts and in CDF-2.
    #[test]
    fn a_small_file_is_written_byte_by_byte_as_specified() {
        let variable = Variable {
            name: "vx",
            dimensions: vec![0],
            attributes: vec![],
            values: Values::Shorts(vec![3, 1, 4, 1, 5]),
        };
        let file =
            File { dimensions: vec![("dim", 5)], attributes: vec![], variables: vec![variable] };
        let wanted = [
            &b"CDF\x02\0\0\0\0\0\0\0\x0a\0\0\0\x01\0\0\0\x03dim\0\0\0\0\x05"[..],
            b"\0\0\0\0\0\0\0\0\0\0\0\x0b\0\0\0\x01\0\0\0\x02vx\0\0\0\0\0\x01\0\0\0\0",
            b"\0\0\0\0\0\0\0\0\0\0\0\x03\0\0\0\x0c\0\0\0\0\0\0\0\x54",
            b"\0\x03\0\x01\0\x04\0\x01\0\x05\0\0",
        ]
        .concat();
        assert_eq!(file.bytes(), wanted);
    }
}
