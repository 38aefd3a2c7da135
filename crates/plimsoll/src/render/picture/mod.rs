//! A drawing of a few simple things, as SVG and as PNG: one list of what is drawn, so that both show the same.

mod png;
mod strokes;

use std::fmt::Write as _;

use super::ci::escape;

/// A colour: red, green, blue.
pub(crate) type Colour = [u8; 3];

/// Where a text stands on its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// It begins there.
    Start,
    /// It ends there.
    End,
}

/// One thing that is drawn.
#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Area { at: (f64, f64), size: (f64, f64), colour: Colour },
    Frame { at: (f64, f64), size: (f64, f64), colour: Colour },
    Dot { at: (f64, f64), radius: f64, colour: Colour },
    Line { from: (f64, f64), to: (f64, f64), colour: Colour, dashed: bool },
    Text { at: (f64, f64), text: String, size: f64, bold: bool, colour: Colour, anchor: Anchor },
}

/// Length of a dash and of the gap after it.
const DASH: f64 = 4.0;
/// Width of lines.
const LINE: f64 = 1.5;

/// A drawing on white.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    width: f64,
    height: f64,
    shapes: Vec<Shape>,
}

impl Picture {
    pub(crate) fn new(width: f64, height: f64) -> Picture {
        Picture { width, height, shapes: Vec::new() }
    }

    /// A filled rectangle.
    pub(crate) fn area(&mut self, at: (f64, f64), size: (f64, f64), colour: Colour) {
        self.shapes.push(Shape::Area { at, size, colour });
    }

    /// The border of a rectangle.
    pub(crate) fn frame(&mut self, at: (f64, f64), size: (f64, f64), colour: Colour) {
        self.shapes.push(Shape::Frame { at, size, colour });
    }

    pub(crate) fn dot(&mut self, at: (f64, f64), radius: f64, colour: Colour) {
        self.shapes.push(Shape::Dot { at, radius, colour });
    }

    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: Colour, dashed: bool) {
        self.shapes.push(Shape::Line { from, to, colour, dashed });
    }

    pub(crate) fn text(&mut self, at: (f64, f64), text: &str, size: f64, colour: Colour, anchor: Anchor) {
        let text = text.to_owned();
        self.shapes.push(Shape::Text { at, text, size, bold: false, colour, anchor });
    }

    pub(crate) fn bold(&mut self, at: (f64, f64), text: &str, size: f64, colour: Colour) {
        let text = text.to_owned();
        self.shapes.push(Shape::Text { at, text, size, bold: true, colour, anchor: Anchor::Start });
    }

    /// As PNG, two pixels for each unit.
    pub(crate) fn png(&self) -> Vec<u8> {
        png::of(self)
    }

    pub(crate) fn svg(&self) -> String {
        let (w, h) = (self.width, self.height);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" font-family=\"sans-serif\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
        );
        self.shapes.iter().for_each(|s| element(&mut out, s));
        out + "</svg>\n"
    }
}

fn element(out: &mut String, shape: &Shape) {
    let rgb = |c: &Colour| format!("#{:02x}{:02x}{:02x}", c[0], c[1], c[2]);
    let rectangle = |at: &(f64, f64), size: &(f64, f64), how: &str| {
        format!(
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" {how}/>",
            at.0, at.1, size.0, size.1
        )
    };
    let said = match shape {
        Shape::Area { at, size, colour } => rectangle(at, size, &format!("fill=\"{}\"", rgb(colour))),
        Shape::Frame { at, size, colour } => {
            rectangle(at, size, &format!("fill=\"none\" stroke=\"{}\"", rgb(colour)))
        }
        Shape::Dot { at, radius, colour } => {
            let (x, y) = at;
            format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{}\"/>", rgb(colour))
        }
        Shape::Line { from, to, colour, dashed } => {
            let dash = if *dashed { format!(" stroke-dasharray=\"{DASH} {DASH}\"") } else { String::new() };
            format!(
                "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{}\" stroke-width=\"{LINE}\"{dash}/>",
                from.0,
                from.1,
                to.0,
                to.1,
                rgb(colour)
            )
        }
        Shape::Text { at, text, size, bold, colour, anchor } => {
            let bold = if *bold { " font-weight=\"bold\"" } else { "" };
            let anchor = if *anchor == Anchor::End { " text-anchor=\"end\"" } else { "" };
            format!(
                "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"{size}\" fill=\"{}\"{bold}{anchor}>{}</text>",
                at.0,
                at.1,
                rgb(colour),
                escape(text)
            )
        }
    };
    // Writing to a string cannot fail.
    let _always = writeln!(out, "{said}");
}
