//! Opening: what is made, what is refused and how the refusal reads.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use store::{Change, Store, StoreError};

use crate::world::{Place, all_events, create, keep, log, new_run, write};

async fn refused(path: &Path) -> StoreError {
    Store::open(path).await.expect_err("the path is refused")
}

#[tokio::test]
async fn makes_a_folder_and_files_for_the_user_alone() {
    let place = Place::new();
    let store = place.open().await;
    create(&store, "r").await;
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(place.path.parent().unwrap()), 0o700);
    for entry in place.path.parent().unwrap().read_dir().unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn finds_what_an_earlier_one_kept() {
    let place = Place::new();
    let run = {
        let store = place.open().await;
        let run = create(&store, "r").await;
        keep(&store, write(&run, 0, vec![log(1, "a", None, "x\n")], vec![])).await;
        run
    };
    let store = place.open().await;
    assert_eq!(store.run(&run).await.unwrap().unwrap().sequence, 1);
    assert_eq!(store.plan(&run).await.unwrap().unwrap(), b"plan");
    assert_eq!(all_events(&store, &run, 10).await.len(), 1);
}

#[tokio::test]
async fn brings_an_older_database_to_the_present_version() {
    let place = Place::new();
    drop(place.open().await);
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&place.path);
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let older = "DROP TABLE checkpoints; UPDATE schema_version SET version = 2";
    sqlx::raw_sql(older).execute(&mut connection).await.unwrap();
    let store = place.open().await;
    assert!(store.checkpoints(&create(&store, "r").await).await.unwrap().is_empty());
}

#[tokio::test]
async fn refuses_a_folder() {
    let place = Place::new();
    std::fs::create_dir_all(&place.path).unwrap();
    let error = refused(&place.path).await;
    assert!(matches!(&error, StoreError::NotAFile { path } if *path == place.path), "{error:?}");
}

#[tokio::test]
async fn refuses_a_folder_that_cannot_be_made() {
    let place = Place::new();
    std::fs::write(place.path.parent().unwrap(), "a file").unwrap();
    let error = refused(&place.path.join("deeper/firedog.db")).await;
    assert!(matches!(error, StoreError::Open { .. } | StoreError::Folder { .. }), "{error:?}");
    let error = refused(Path::new("/proc/firedog/firedog.db")).await;
    assert!(matches!(error, StoreError::Folder { .. }), "{error:?}");
}

#[tokio::test]
async fn refuses_a_file_that_is_no_database() {
    let place = Place::new();
    std::fs::create_dir_all(place.path.parent().unwrap()).unwrap();
    std::fs::write(&place.path, "this is a text, and long enough to be taken for one. ".repeat(100)).unwrap();
    let error = refused(&place.path).await;
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains("damaged or is not a database"), "{error}");
}

#[tokio::test]
async fn refuses_a_newer_database_and_names_both_versions() {
    let place = Place::new();
    drop(place.open().await);
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&place.path);
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query("UPDATE schema_version SET version = 99").execute(&mut connection).await.unwrap();
    let error = refused(&place.path).await;
    assert!(matches!(error, StoreError::Newer { found: 99, known: 3, .. }), "{error:?}");
    assert!(error.to_string().contains("version 99") && error.to_string().contains("up to 3"), "{error}");
}

/// What writing a run says after the tables were changed by somebody else.
async fn check_changed(statement: &'static str) {
    let place = Place::new();
    let store = place.open().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&place.path);
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    let run = "r".into();
    let write = write(&run, 0, vec![], vec![Change::Create(new_run(b"plan"))]);
    let error = store.commit(&[write]).await.unwrap_err();
    assert!(matches!(error, StoreError::Tables { .. }), "{statement} {error:?}");
    assert!(error.to_string().contains("use another state folder"), "{error}");
}

#[tokio::test]
async fn tables_of_another_make_are_told_from_damage_and_repetition() {
    check_changed("ALTER TABLE plans RENAME COLUMN body TO text").await;
    check_changed("DROP TABLE plans").await;
    check_changed("DROP TABLE plans; CREATE TABLE plans (run TEXT, body BLOB, extra TEXT NOT NULL)").await;
}

#[tokio::test]
async fn opens_while_others_make_the_same_database() {
    let place = Place::new();
    let opened = futures_util::future::join_all((0..8).map(|_| place.open())).await;
    for (number, store) in opened.iter().enumerate() {
        create(store, &format!("r{number}")).await;
    }
}
