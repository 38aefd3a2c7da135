//! Cells under each other, each column as wide as its widest cell.

/// The widths of columns, of which some are set to the right.
pub(crate) struct Columns<const N: usize> {
    widths: [usize; N],
    right: [bool; N],
}

impl<const N: usize> Columns<N> {
    /// As wide as these lines ask for, the head among them.
    pub(crate) fn of<'a>(lines: impl Iterator<Item = &'a [String; N]>, right: [bool; N]) -> Columns<N> {
        let mut widths = [0; N];
        for line in lines {
            widths.iter_mut().zip(line).for_each(|(width, cell)| *width = cell.chars().count().max(*width));
        }
        Columns { widths, right }
    }

    /// One line, with its end.
    pub(crate) fn line(&self, cells: &[String; N]) -> String {
        let mut out = String::new();
        for ((cell, width), right) in cells.iter().zip(self.widths).zip(self.right) {
            out += &if right { format!("{cell:>width$}  ") } else { format!("{cell:<width$}  ") };
        }
        format!("{}\n", out.trim_end())
    }

    /// A line with words in place of all cells but the first.
    pub(crate) fn words(&self, first: &str, words: &str) -> String {
        format!("{first:<width$}  {words}\n", width = self.widths[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let lines = [["NAME", "FLOOR", "WHAT"], ["ä", "12 MiB", "flat"]].map(|l| l.map(str::to_owned));
        let columns = Columns::of(lines.iter(), [false, true, false]);
        assert_eq!(columns.line(&lines[0]), "NAME   FLOOR  WHAT\n");
        assert_eq!(columns.line(&lines[1]), "ä     12 MiB  flat\n");
        assert_eq!(columns.words("ä", "why"), "ä     why\n");
    }
}
