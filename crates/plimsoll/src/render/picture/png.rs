//! A picture as pixels, and these as PNG.

use std::io::Write as _;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

use super::{Anchor, Colour, DASH, LINE, Picture, Shape, strokes};

/// Pixels for each unit.
const SCALE: f64 = 2.0;
/// Height and width of a row and a column of a letter, as a share of the size of the text.
const ROW: f64 = 0.12;
const COLUMN: f64 = 0.095;
/// Highest picture, in units: what is below is not drawn.
const HIGHEST: f64 = 8000.0;

/// White, with what was drawn.
struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

pub(super) fn of(picture: &Picture) -> Vec<u8> {
    let side = |units: f64| (units.clamp(1.0, HIGHEST) * SCALE).ceil() as usize;
    let (width, height) = (side(picture.width), side(picture.height));
    let mut canvas = Canvas { width, height, pixels: vec![255; width * height * 3] };
    picture.shapes.iter().for_each(|s| canvas.draw(s));
    encode(&canvas)
}

impl Canvas {
    fn draw(&mut self, shape: &Shape) {
        match shape {
            Shape::Area { at, size, colour } => self.area(*at, *size, *colour),
            Shape::Frame { at, size, colour } => {
                let (x, y) = (at.0 + size.0, at.1 + size.1);
                let corners = [*at, (x, at.1), (x, y), (at.0, y), *at];
                corners.windows(2).for_each(|c| self.stroke(c[0], c[1], 1.0, *colour));
            }
            Shape::Dot { at, radius, colour } => self.stroke(*at, *at, 2.0 * radius, *colour),
            Shape::Line { from, to, colour, dashed: false } => self.stroke(*from, *to, LINE, *colour),
            Shape::Line { from, to, colour, dashed: true } => self.dashes(*from, *to, *colour),
            Shape::Text { at, text, size, bold, colour, anchor } => {
                let long = text.chars().count() as f64 * strokes::ADVANCE * COLUMN * size;
                let x = if *anchor == Anchor::End { at.0 - long } else { at.0 };
                let width = size * if *bold { 0.16 } else { 0.1 };
                self.text((x, at.1), text, *size, width, *colour);
            }
        }
    }

    fn area(&mut self, at: (f64, f64), size: (f64, f64), colour: Colour) {
        let pixel = |v: f64, most: usize| ((v * SCALE).round().max(0.0) as usize).min(most);
        let columns = pixel(at.0, self.width)..pixel(at.0 + size.0, self.width);
        for y in pixel(at.1, self.height)..pixel(at.1 + size.1, self.height) {
            columns.clone().for_each(|x| self.blend(x, y, 1.0, colour));
        }
    }

    /// A line with round ends: each pixel as far as it is covered.
    fn stroke(&mut self, from: (f64, f64), to: (f64, f64), width: f64, colour: Colour) {
        let (ax, ay, bx, by) = (from.0 * SCALE, from.1 * SCALE, to.0 * SCALE, to.1 * SCALE);
        let reach = width * SCALE / 2.0;
        let span = |a: f64, b: f64, most: usize| {
            let low = (a.min(b) - reach - 1.0).floor().max(0.0) as usize;
            let high = (a.max(b) + reach + 2.0).ceil().max(0.0) as usize;
            low.min(most)..high.min(most)
        };
        let (dx, dy) = (bx - ax, by - ay);
        let length = dx * dx + dy * dy;
        for y in span(ay, by, self.height) {
            for x in span(ax, bx, self.width) {
                let (px, py) = (x as f64 + 0.5 - ax, y as f64 + 0.5 - ay);
                let along = if length > 0.0 { ((px * dx + py * dy) / length).clamp(0.0, 1.0) } else { 0.0 };
                let far = (px - along * dx).hypot(py - along * dy);
                self.blend(x, y, (reach + 0.5 - far).clamp(0.0, 1.0), colour);
            }
        }
    }

    fn dashes(&mut self, from: (f64, f64), to: (f64, f64), colour: Colour) {
        let long = (to.0 - from.0).hypot(to.1 - from.1);
        let at = |share: f64| (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
        // Bounded by the width of a picture.
        for k in 0..(long / (2.0 * DASH)).ceil() as usize {
            let begin = k as f64 * 2.0 * DASH;
            self.stroke(at(begin / long), at(((begin + DASH) / long).min(1.0)), LINE, colour);
        }
    }

    fn text(&mut self, at: (f64, f64), text: &str, size: f64, width: f64, colour: Colour) {
        for (number, c) in text.chars().enumerate() {
            let left = at.0 + number as f64 * strokes::ADVANCE * COLUMN * size;
            let place = |point: &str| {
                let digit = |b: Option<&u8>| f64::from(b.map_or(0, |b| b.wrapping_sub(b'0')));
                let (column, row) = (digit(point.as_bytes().first()), digit(point.as_bytes().get(1)));
                (left + column * COLUMN * size, at.1 + (row - strokes::BASE) * ROW * size)
            };
            for line in strokes::of(c).split('/').filter(|l| !l.is_empty()) {
                let points: Vec<(f64, f64)> = line.split(' ').map(place).collect();
                points.windows(2).for_each(|p| self.stroke(p[0], p[1], width, colour));
            }
        }
    }

    fn blend(&mut self, x: usize, y: usize, share: f64, colour: Colour) {
        let at = (y * self.width + x) * 3;
        let Some(pixel) = self.pixels.get_mut(at..at + 3) else { return };
        for (old, new) in pixel.iter_mut().zip(colour) {
            *old = (f64::from(*old) * (1.0 - share) + f64::from(new) * share).round() as u8;
        }
    }
}

fn encode(canvas: &Canvas) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    for row in canvas.pixels.chunks(canvas.width * 3) {
        // Each row begins with its filter: none. Writing to memory cannot fail.
        let _always = packed.write_all(&[0]).and_then(|()| packed.write_all(row));
    }
    let packed = packed.finish().unwrap_or_default();
    let side = |v: usize| u32::try_from(v).unwrap_or(u32::MAX).to_be_bytes();
    // Eight bits of red, green and blue; deflate; no interlace.
    let head = [side(canvas.width).as_slice(), &side(canvas.height), &[8, 2, 0, 0, 0]].concat();
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, data) in [(b"IHDR", head.as_slice()), (b"IDAT", &packed), (b"IEND", &[])] {
        let mut crc = Crc::new();
        crc.update(name);
        crc.update(data);
        out.extend(u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend(name);
        out.extend(data);
        out.extend(crc.sum().to_be_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    const RED: Colour = [200, 0, 0];

    /// The pixels of a PNG of ours.
    fn pixels(png: &[u8]) -> (usize, Vec<u8>) {
        let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().expect("four")) as usize;
        let (width, height, long) = (number(16), number(20), number(33));
        let mut out = Vec::new();
        let mut rows = flate2::read::ZlibDecoder::new(&png[41..41 + long]);
        rows.read_to_end(&mut out).expect("deflated");
        assert_eq!(out.len(), height * (width * 3 + 1));
        (width, out)
    }

    #[test]
    fn what_is_drawn_is_there_and_only_there() {
        let mut p = Picture::new(40.0, 20.0);
        p.area((10.0, 5.0), (4.0, 4.0), RED);
        p.line((0.0, 15.0), (40.0, 15.0), RED, true);
        let (width, rows) = pixels(&p.png());
        let at = |x: usize, y: usize| {
            let at = y * (width * 3 + 1) + 1 + x * 3;
            [rows[at], rows[at + 1], rows[at + 2]]
        };
        assert_eq!((at(22, 12), at(30, 12)), (RED, [255; 3]));
        assert_eq!((at(2, 30)[1], at(12, 30)[1]), (0, 255), "a dash and a gap");
    }

    #[test]
    fn every_letter_has_its_own_strokes_within_its_cell() {
        let all: Vec<char> = (' '..='~').filter(|c| *c != '`').chain(['·', '…']).collect();
        let known: std::collections::BTreeSet<&str> = all.iter().map(|c| strokes::of(*c)).collect();
        assert_eq!(known.len(), all.len() - 1, "only O and 0 are alike");
        for point in all.iter().flat_map(|c| strokes::of(*c).split(['/', ' '])).filter(|p| !p.is_empty()) {
            assert!(
                point.len() == 2 && point.as_bytes()[0] <= b'4' && point.as_bytes()[1] <= b'8',
                "{point}"
            );
        }
        assert_eq!(strokes::of('é'), "00 40 46 06 00");
    }
}
