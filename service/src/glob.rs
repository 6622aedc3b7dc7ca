// SPDX-License-Identifier: Apache-2.0
//! Names with wildcards.
//!
//! Whoever may ask may choose the globs, and names are chosen by whoever makes a wakeup source. Matching
//! that goes back in the name after each failure takes time by the product of both lengths: 32 globs
//! kept an emulated service busy for 24 s with 2,000 names of 255 bytes. So here all places of a glob
//! are followed at once, each a bit, and no character of a name is looked at twice.

/// The most characters that a name has: the kernel's 255 bytes, each of which may have been replaced.
const MAX_NAME_CHARS: usize = 255;

/// How many characters ASCII has.
const ASCII: usize = 128;

/// Places in a glob, from before its first character to behind its last. `*` is none of them.
type Places = [u64; (MAX_NAME_CHARS + 1).div_ceil(64)];

/// A glob, in which `*` stands for any characters, and `?` for one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Glob {
    /// How many characters it has beside `*`.
    len: usize,
    /// Places at which there is a `*`.
    stars: Places,
    /// Places behind which there is a `?`.
    any: Places,
    /// Places behind which there is a character or a `?`, for each of ASCII, in which most names are.
    ascii: Vec<Places>,
    /// The same for others that are in the glob.
    others: Vec<(char, Places)>,
}

impl Glob {
    /// The glob in this text.
    pub fn new(text: &str) -> Self {
        let mut glob = Glob::default();
        let mut places: Vec<(char, usize)> = Vec::new();
        for char in text.chars() {
            match char {
                '*' => set(&mut glob.stars, glob.len),
                '?' => set(&mut glob.any, glob.len),
                _ => places.push((char, glob.len)),
            }
            glob.len += usize::from(char != '*');
        }
        glob.ascii = vec![glob.any; ASCII];
        places.sort_unstable();
        for run in places.chunk_by(|(left, _), (right, _)| left == right) {
            let Some(&(char, _)) = run.first() else { continue };
            let mut behind = glob.any;
            run.iter().for_each(|&(_, place)| set(&mut behind, place));
            match glob.ascii.get_mut(char as usize) {
                Some(ascii) => *ascii = behind,
                None => glob.others.push((char, behind)),
            }
        }
        glob
    }

    /// Whether all of the name is as the glob has it.
    pub fn matches(&self, name: &str) -> bool {
        let mut at = Places::default();
        set(&mut at, 0);
        for char in name.chars() {
            let behind = self.behind(char);
            let mut carry = 0;
            for ((at, behind), star) in at.iter_mut().zip(behind).zip(&self.stars) {
                let passed = *at & behind;
                *at = (passed << 1) | carry | (*at & star);
                carry = passed >> 63;
            }
            if at == Places::default() {
                return false;
            }
        }
        // Of a glob that is longer than any name, no place is that far.
        at.get(self.len / 64).is_some_and(|word| word & (1 << (self.len % 64)) != 0)
    }

    fn behind(&self, char: char) -> &Places {
        if let Some(behind) = self.ascii.get(char as usize) {
            return behind;
        }
        let found = self.others.binary_search_by_key(&char, |&(char, _)| char);
        let found = found.ok().and_then(|index| self.others.get(index));
        found.map_or(&self.any, |(_, behind)| behind)
    }
}

fn set(places: &mut Places, place: usize) {
    if let Some(word) = places.get_mut(place / 64) {
        *word |= 1 << (place % 64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a glob means, in the fewest words.
    fn is_meant(glob: &[char], name: &[char]) -> bool {
        match (glob, name) {
            ([], name) => name.is_empty(),
            (['*', glob @ ..], name) => (0..=name.len()).any(|skip| is_meant(glob, &name[skip..])),
            ([char, glob @ ..], [first, name @ ..]) => {
                (char == first || *char == '?') && is_meant(glob, name)
            }
            (_, []) => false,
        }
    }

    /// All texts of these characters up to a length.
    fn texts(chars: &[char], max_len: usize) -> Vec<String> {
        let mut texts = vec![String::new()];
        let mut begin = 0;
        for _ in 0..max_len {
            let end = texts.len();
            for index in begin..end {
                texts.extend(
                    chars.iter().map(|char| format!("{}{char}", texts[index])).collect::<Vec<_>>(),
                );
            }
            begin = end;
        }
        texts
    }

    #[test]
    fn every_short_glob_means_what_it_should_of_every_short_name() {
        let names = texts(&['a', 'é'], 5);
        for text in texts(&['a', 'é', '*', '?'], 5) {
            let (glob, chars) = (Glob::new(&text), text.chars().collect::<Vec<_>>());
            for name in &names {
                let is_meant = is_meant(&chars, &name.chars().collect::<Vec<_>>());
                assert_eq!(glob.matches(name), is_meant, "glob {text:?}, name {name:?}");
            }
        }
    }

    #[test]
    fn places_go_on_from_word_to_word() {
        for len in [62, 63, 64, 65, 127, 128, 192, 254, 255] {
            let name: String = "ab".chars().cycle().take(len).collect();
            let [first, last] = [&name[..1], &name[len - 1..]];
            let questions = "?".repeat(len - 1);
            for text in [
                name.clone(),
                format!("*{name}"),
                format!("{name}*"),
                format!("*{}*{last}", &name[..len - 1]),
                format!("{first}{questions}"),
                format!("{questions}{last}"),
                format!("*{questions}*?*"),
            ] {
                assert!(Glob::new(&text).matches(&name), "{text}");
                assert!(!Glob::new(&format!("{text}?")).matches(&name), "{text}?");
                assert!(!Glob::new(&format!("{text}x")).matches(&name), "{text}x");
            }
            assert!(!Glob::new(&format!("*{}", "?".repeat(len + 1))).matches(&name));
        }
    }

    #[test]
    fn glob_longer_than_any_name_matches_none() {
        for len in [256, 257, 300, 765] {
            assert!(!Glob::new(&"?".repeat(len)).matches(&"a".repeat(255)));
            assert!(!Glob::new(&format!("*{}*", "?".repeat(len))).matches(&"a".repeat(255)));
        }
        assert!(Glob::new(&"*".repeat(765)).matches(&"a".repeat(255)));
    }
}
