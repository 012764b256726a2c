//! The same without a window: the worker is asked, and answers.

use std::sync::Arc;

use valleyscope::engine::{Anchor, Engine, Request, SearchRequest, SearchView, Step, Turn, Update};
use valleyscope::landscape::{Basis, DirectionKind, Normalisation, direction};
use valleyscope::objective::BatchNormPolicy;

use crate::engine::{open, opened, start, train, wait};
use crate::{IMAGES, Library, MODEL, run};

#[track_caller]
fn failure(engine: &Engine) -> String {
    wait("a message", || {
        engine.updates().into_iter().find_map(|update| match update {
            Update::Failed(message) => Some(message),
            _ => None,
        })
    })
}

fn search(engine: &Engine, request: &SearchRequest) {
    engine.send(Request::Search(Some(Box::new(request.clone()))));
}

/// The view of a search once it ended.
#[track_caller]
fn finished(engine: &Engine, request: &SearchRequest) -> Arc<SearchView> {
    wait("the search is finished", || {
        let view = engine.slots().search.get();
        view.filter(|view| view.finished && view.request == *request)
    })
}

fn usual(session: u64) -> SearchRequest {
    SearchRequest {
        session,
        anchor: Anchor::Swa,
        walk: Vec::new(),
        kind: DirectionKind::Uniform,
        first_seed: 1,
        draws: 2,
        policy: BatchNormPolicy::Running,
        reach: 3.0,
        width: 0.5,
    }
}

#[test]
fn a_search_from_a_point_walked_to_finds_what_the_library_finds() {
    let (engine, session) = open(run());
    let basis = |kind| Basis::Random(kind, 1);
    let turn = Turn {
        first: basis(DirectionKind::BatchNorm),
        second: basis(DirectionKind::NonBatchNorm),
        angle: 0.0,
        normalisation: Normalisation::Unit,
    };
    let request = SearchRequest {
        walk: vec![Step { turn, position: 0.4 }],
        kind: DirectionKind::NonBatchNorm,
        first_seed: 7,
        policy: BatchNormPolicy::Recompute,
        reach: 2.0,
        width: 0.3,
        ..usual(session)
    };
    search(&engine, &request);
    let view = finished(&engine, &request);
    assert_eq!(view.origin, "SWA +0.4 along bn (seed 1)");
    assert_eq!((view.done, view.progress, view.images), (2, 1.0, IMAGES));

    let library = Library::open();
    let graph = library.objective.graph();
    let along = |kind| direction::random(graph, kind, 1).unwrap();
    let (first, second) = (along(DirectionKind::BatchNorm), along(DirectionKind::NonBatchNorm));
    let step = direction::turned(&first, &second, 0.0).unwrap();
    let origin = Arc::new(library.swa.moved(&step, 0.4));
    assert_eq!(view.summary, library.summary(&request, &origin));
    // The point and the policy count.
    assert_ne!(view.summary, library.summary(&request, &library.swa));
    let running = SearchRequest {
        policy: BatchNormPolicy::Running,
        ..request
    };
    assert_ne!(view.summary, library.summary(&running, &origin));
}

#[test]
fn a_search_ends_when_told_or_replaced_or_another_run_is_opened() {
    let (engine, session) = open(run());
    let long = SearchRequest {
        draws: SearchRequest::MOST_DRAWS,
        ..usual(session)
    };
    let going = |request: &SearchRequest| {
        let request = request.clone();
        wait("a direction is measured", || {
            let view = engine.slots().search.get();
            view.filter(|view| !view.finished && view.done >= 1 && view.request == request)
        })
    };
    search(&engine, &long);
    let view = going(&long);
    assert!(view.progress < 0.1);
    assert!(view.seconds_left.is_some_and(|seconds| seconds > 0.0));
    engine.send(Request::Search(None));
    let view = finished(&engine, &long);
    assert!((1..long.draws).contains(&view.done) && view.seconds_left.is_none());
    assert_eq!(view.summary.draws as u64, view.done);

    // Another one takes its place.
    search(&engine, &long);
    going(&long);
    let other = SearchRequest {
        first_seed: 50,
        ..usual(session)
    };
    search(&engine, &other);
    let view = finished(&engine, &other);
    assert_eq!(view.done, 2);
    let seeds: Vec<u64> = view.summary.best.iter().map(|draw| draw.seed).collect();
    assert!(seeds.iter().all(|seed| [50, 51].contains(seed)), "{seeds:?}");

    // Of a run that is no longer open nothing is searched, and nothing shown.
    search(&engine, &long);
    going(&long);
    engine.send(Request::Open(run().display().to_string()));
    let next = opened(&engine).session;
    assert_ne!(next, session);
    assert!(engine.slots().search.get().is_none());
    search(&engine, &long);
    let message = failure(&engine);
    assert!(message.contains("another run"), "{message}");
    assert!(engine.slots().search.get().is_none());
    search(&engine, &usual(next));
    assert_eq!(finished(&engine, &usual(next)).done, 2);
}

#[test]
fn what_makes_no_sense_is_refused_in_words() {
    let (engine, session) = open(run());
    type Change = fn(&mut SearchRequest);
    let cases: [(&str, Change); 7] = [
        ("1 to 100000 directions", |request| request.draws = 0),
        ("1 to 100000 directions", |request| request.draws = 100_001),
        ("begin with a smaller one", |request| request.first_seed = u64::MAX),
        ("within the range", |request| request.width = 3.5),
        ("above 0", |request| request.width = 0.0),
        ("above 0", |request| request.width = f64::NAN),
        ("within the range", |request| request.reach = f64::INFINITY),
    ];
    for (about, change) in cases {
        let mut request = usual(session);
        change(&mut request);
        search(&engine, &request);
        let message = failure(&engine);
        assert!(message.contains(about), "{message}");
        assert!(engine.slots().search.get().is_none());
    }
    // The last seed there is can be drawn.
    let last = SearchRequest {
        first_seed: u64::MAX,
        draws: 1,
        ..usual(session)
    };
    search(&engine, &last);
    assert_eq!(finished(&engine, &last).done, 1);

    // A network without batch norm has no directions of it; what was found before stays.
    let folder = tempfile::tempdir().unwrap();
    train(&engine, folder.path(), "mlp:4");
    let session = opened(&engine).session;
    let request = SearchRequest {
        anchor: Anchor::Current,
        ..usual(session)
    };
    search(&engine, &request);
    finished(&engine, &request);
    search(
        &engine,
        &SearchRequest {
            kind: DirectionKind::BatchNorm,
            ..request.clone()
        },
    );
    let message = failure(&engine);
    assert!(message.contains("mlp:4"), "{message}");
    assert_eq!(engine.slots().search.get().unwrap().request, request);
    engine.send(Request::Stop);
}

#[test]
fn while_weights_are_trained_a_search_stays_where_it_began_and_training_goes_on() {
    let engine = start();
    let folder = tempfile::tempdir().unwrap();
    train(&engine, folder.path(), MODEL);
    let session = opened(&engine).session;
    let epoch = || engine.slots().training.get().map(|training| training.epoch);
    let before = wait("training is on its way", || epoch().filter(|&epoch| epoch > 0.0));
    let request = SearchRequest {
        anchor: Anchor::Current,
        draws: 4,
        ..usual(session)
    };
    search(&engine, &request);
    let first = wait("the search has begun", || engine.slots().search.get());
    assert!(first.origin.starts_with("training, epoch "), "{}", first.origin);
    let last = finished(&engine, &request);
    assert_eq!((&last.origin, last.done), (&first.origin, 4));
    wait("training has gone on meanwhile", || {
        epoch().filter(|&epoch| epoch > before + 1.0)
    });
    engine.send(Request::Stop);
    wait("training ends", || {
        let mut updates = engine.updates().into_iter();
        updates.find(|update| matches!(update, Update::TrainingEnded(_)))
    });
}
