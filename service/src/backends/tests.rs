// SPDX-License-Identifier: Apache-2.0
//! Which backend is taken, over the life of a service whose backends come and go.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::*;
use crate::model::Walk;

/// A backend in the hands of a test.
#[derive(Clone, Debug)]
struct Fake(Backend, Arc<Mutex<Fate>>);

#[derive(Clone, Copy, Debug)]
struct Fate {
    /// Whether it can be opened.
    opens: bool,
    /// Whether what is opened works.
    works: bool,
    /// What it is: another number is another program.
    what: u32,
    tried: u32,
    openings: u32,
    /// How many are open.
    open: u32,
}

/// What a fake has opened.
#[derive(Debug)]
struct Opened(Fake, Snapshot);

impl Fake {
    fn set(&self, change: impl FnOnce(&mut Fate)) {
        change(&mut self.fate());
    }

    fn fate(&self) -> MutexGuard<'_, Fate> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open for Fake {
    fn backend(&self) -> Backend {
        self.0
    }

    fn open(&mut self) -> Result<Box<dyn TakeSnapshot>, Failure> {
        let mut fate = self.fate();
        fate.tried = fate.what;
        fate.openings += 1;
        if !fate.opens {
            return Err(format!("no {}", self.0).into());
        }
        fate.open += 1;
        drop(fate);
        Ok(Box::new(Opened(self.clone(), snapshot(self.0))))
    }

    fn has_changed(&self) -> bool {
        let fate = self.fate();
        fate.tried != fate.what
    }
}

impl TakeSnapshot for Opened {
    fn snapshot(&mut self) -> Result<&Snapshot, Failure> {
        if !self.0.fate().works {
            return Err(format!("{} is broken", self.0.0).into());
        }
        Ok(&self.1)
    }

    fn room_bytes(&self) -> u64 {
        0
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.fate().open -= 1;
    }
}

fn snapshot(backend: Backend) -> Snapshot {
    let walk = Walk {
        backend,
        walks: 1,
        monotonic_ns: 0,
        boottime_ns: 0,
        duration_ns: 0,
        total: 0,
        complete: true,
    };
    Snapshot { walk, sources: Vec::new(), changes: None }
}

/// Three backends, of which these can be opened. All work.
fn fakes(opens: [bool; 3]) -> [Fake; 3] {
    let backends = [Backend::Pinned, Backend::Load, Backend::Sysfs];
    let fate = |opens| Fate { opens, works: true, what: 1, tried: 0, openings: 0, open: 0 };
    let mut fates = opens.map(fate).into_iter();
    backends.map(|backend| Fake(backend, Arc::new(Mutex::new(fates.next().unwrap()))))
}

fn choose(fakes: &[Fake; 3]) -> Backends {
    let openers = fakes.iter().map(|fake| Box::new(fake.clone()) as Box<dyn Open>);
    Backends::choose(openers.collect()).unwrap()
}

/// The backend of the next snapshot.
fn next(backends: &mut Backends) -> Backend {
    let mut backend = None;
    backends.snapshot(|snapshot| backend = Some(snapshot.walk.backend)).unwrap();
    assert_eq!(backend, Some(backends.current()));
    backends.current()
}

#[test]
fn best_that_opens_is_taken_and_the_others_say_why_not() {
    let fakes = fakes([false, true, true]);

    let mut backends = choose(&fakes);

    assert_eq!(backends.current(), Backend::Load);
    let [passed_over] = &backends.passed_over()[..] else { panic!("one") };
    assert_eq!((passed_over.backend, &*passed_over.reason), (Backend::Pinned, "no pinned"));
    assert_eq!(next(&mut backends), Backend::Load);
    assert_eq!(fakes[2].fate().openings, 0, "what is not needed is not opened");
}

#[test]
fn without_any_backend_there_is_an_error_that_names_all() {
    let fakes = fakes([false, false, false]);
    let openers = fakes.iter().map(|fake| Box::new(fake.clone()) as Box<dyn Open>);

    let error = Backends::choose(openers.collect()).unwrap_err().to_string();

    assert!(error.ends_with("pinned (no pinned); load (no load); sysfs (no sysfs)"), "{error}");
}

#[test]
fn call_does_not_fail_when_a_backend_does() {
    let fakes = fakes([true, false, true]);
    let mut backends = choose(&fakes);
    assert_eq!(next(&mut backends), Backend::Pinned);
    fakes[0].set(|fate| fate.works = false);

    assert_eq!(next(&mut backends), Backend::Sysfs);

    let reasons: Vec<String> = backends.passed_over().into_iter().map(|it| it.reason).collect();
    assert_eq!(reasons, ["pinned is broken", "no load"]);
    assert_eq!(fakes[0].fate().openings, 2, "it was opened anew before it was given up");
    assert_eq!([0, 2].map(|index: usize| fakes[index].fate().open), [0, 1]);
}

#[test]
fn one_that_fails_once_is_opened_anew() {
    let fakes = fakes([true, true, true]);
    let mut backends = choose(&fakes);
    // The program that was opened is gone, and another is in its place.
    let breaks = fakes[0].clone();
    #[derive(Debug)]
    struct Broken;
    impl TakeSnapshot for Broken {
        fn snapshot(&mut self) -> Result<&Snapshot, Failure> {
            Err("gone".into())
        }
        fn room_bytes(&self) -> u64 {
            0
        }
    }
    backends.candidates[0].state = State::Opened(Box::new(Broken));

    assert_eq!(next(&mut backends), Backend::Pinned);
    assert_eq!((breaks.fate().openings, backends.passed_over().len()), (2, 0));
}

#[test]
fn what_is_replaced_is_opened_anew_and_what_comes_back_is_taken_again() {
    let fakes = fakes([true, true, true]);
    let mut backends = choose(&fakes);
    next(&mut backends);

    fakes[0].set(|fate| fate.what = 2);
    assert_eq!(next(&mut backends), Backend::Pinned);
    let fate = *fakes[0].fate();
    assert_eq!((fate.openings, fate.open), (2, 1));

    fakes[0].set(|fate| (fate.what, fate.opens) = (3, false));
    assert_eq!(next(&mut backends), Backend::Load, "gone, though what was open would work");
    assert_eq!(fakes[0].fate().open, 0);
    for _ in 0..10 {
        next(&mut backends);
    }
    assert_eq!(fakes[0].fate().openings, 3, "it is not tried while nothing has changed");

    fakes[0].set(|fate| (fate.what, fate.opens) = (4, true));
    assert_eq!(next(&mut backends), Backend::Pinned);
    assert!(backends.passed_over().is_empty());
    assert_eq!(fakes[1].fate().open, 0, "two maps are not held at a time");
}

#[test]
fn what_once_worked_is_tried_again_after_a_while_and_what_never_did_is_not() {
    let fakes = fakes([false, true, true]);
    let mut backends = choose(&fakes);
    next(&mut backends);
    fakes[1].set(|fate| fate.works = false);
    assert_eq!(next(&mut backends), Backend::Sysfs);
    fakes[1].set(|fate| fate.works = true);
    fakes[0].set(|fate| fate.opens = true);
    assert_eq!(next(&mut backends), Backend::Sysfs);
    for candidate in &mut backends.candidates {
        if let State::Failed { when, .. } = &mut candidate.state {
            *when = Instant::now().checked_sub(PATIENCE).unwrap();
        }
    }

    assert_eq!(next(&mut backends), Backend::Load);
    assert_eq!(fakes[0].fate().openings, 1);
}

#[test]
fn where_nothing_works_all_are_tried_at_each_call() {
    let fakes = fakes([true, true, true]);
    let mut backends = choose(&fakes);
    for fake in &fakes {
        fake.set(|fate| (fate.works, fate.opens) = (false, false));
    }
    let error = backends.snapshot(|_| ()).unwrap_err().to_string();
    assert!(error.contains("pinned (no pinned); load (no load); sysfs (no sysfs)"), "{error}");
    fakes[1].set(|fate| (fate.works, fate.opens) = (true, true));

    assert_eq!(next(&mut backends), Backend::Load);
}
