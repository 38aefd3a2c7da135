//! Hostile and foreign bytes are refused with the reason. Real programs are read in `tests/go_runtime.rs`.

use super::*;

impl ReadAt for Vec<u8> {
    fn read_at(&self, at: u64, to: &mut [u8]) -> usize {
        let rest = usize::try_from(at).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let n = rest.len().min(to.len());
        to[..n].copy_from_slice(&rest[..n]);
        n
    }
}

#[test]
fn what_is_no_program_for_amd64_is_refused() {
    let open = |bytes: Vec<u8>| {
        let bytes: Bytes = Arc::new(bytes);
        Program::open(&bytes, &bytes, 0).err()
    };
    assert!(matches!(open(Vec::new()), Some(Refusal::Machine(why)) if why.contains("ELF")));
    let mut arm = vec![0; 64];
    arm[..6].copy_from_slice(b"\x7fELF\x02\x01");
    arm[18] = 183;
    assert!(matches!(open(arm.clone()), Some(Refusal::Machine(why)) if why.contains("processor")));
    arm[18] = 62;
    assert_eq!(open(arm), Some(Refusal::NotGo));
}

#[test]
fn refusals_name_the_versions_that_are_known() {
    let text = Refusal::Version("go1.31.2".to_owned()).to_string();
    assert_eq!(text, "it was built by go1.31.2; Go 1.21 to 1.27 are read from outside");
}
