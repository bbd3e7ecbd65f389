//! Readers of different habits, one after the other and at once.

use fake_daac::Content;

use crate::environment::{TestEnvironment, in_time};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Whoever has read the heads of some files still reads others as a stream.
#[tokio::test]
async fn a_file_is_read_through_quickly_after_many_of_which_the_head_was_read() {
    let environment = TestEnvironment::new();
    for number in 0..20 {
        environment.put(&format!("d/{number:02}.bin"), Content::synthetic(30 * MIB));
    }
    let filesystem = environment.filesystem();
    for number in 0..14 {
        let file = in_time(filesystem.number(&format!("d/{number:02}.bin"))).await.unwrap();
        let handle = filesystem.open(file).await.unwrap().handle;
        for chunk in 0..3 {
            in_time(filesystem.read(handle, chunk * 128 * KIB, 128 << 10)).await.unwrap();
        }
        filesystem.release(handle);
    }
    for file in ["d/17.bin", "d/15.bin"] {
        environment.wait_for_stats(|stats| stats.in_flight == 0).await;
        environment.fake_daac.reset_stats();
        let number = in_time(filesystem.number(file)).await.unwrap();
        let handle = filesystem.open(number).await.unwrap().handle;
        for chunk in 0..240 {
            in_time(filesystem.read(handle, chunk * 128 * KIB, 128 << 10)).await.unwrap();
        }
        filesystem.release(handle);
        let stats = environment.fake_daac.stats();
        assert!(stats.gets <= 60, "{stats:?}");
    }
}

/// A stream goes on beside a file that was fetched whole for somebody who reads here and there.
#[tokio::test]
async fn a_stream_is_prefetched_beside_a_whole_object() {
    let environment = TestEnvironment::new();
    environment.put("random/a.h", Content::synthetic(32 * MIB));
    environment.put("stream/b.bin", Content::synthetic(60 * MIB));
    let filesystem = environment.filesystem();
    let number = in_time(filesystem.number("random/a.h")).await.unwrap();
    let random = filesystem.open(number).await.unwrap().handle;
    let at = |turn: u64| (turn * 7_919 + 100) % 8000 * 4 * KIB;
    for turn in 0..30 {
        in_time(filesystem.read(random, at(turn), 4096)).await.unwrap();
    }
    environment.wait_for_stats(|stats| stats.in_flight == 0).await;
    environment.fake_daac.reset_stats();
    let number = in_time(filesystem.number("stream/b.bin")).await.unwrap();
    let handle = filesystem.open(number).await.unwrap().handle;
    for chunk in 0..480 {
        in_time(filesystem.read(handle, chunk * 128 * KIB, 128 << 10)).await.unwrap();
        if chunk % 8 == 0 {
            in_time(filesystem.read(random, at(30 + chunk / 8), 4096)).await.unwrap();
        }
    }
    let stats = environment.fake_daac.stats();
    assert!(stats.gets <= 120, "{stats:?}");
}

/// Readers of all habits at once, with little memory, get the bytes, and none waits for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_all_habits_get_the_bytes_with_little_memory() {
    let environment = TestEnvironment::new();
    let sizes = [3 * MIB + 17, 20 * MIB + 1, 70 * MIB + 4097, 900 * KIB, 9 * MIB];
    for (number, size) in sizes.into_iter().enumerate() {
        for name in ["nc", "h5", "zip", "bin"] {
            environment.put(&format!("d/{number}.{name}"), Content::synthetic(size));
        }
    }
    for cache in [1 << 20, 6 << 20, 64 << 20] {
        let filesystem = std::sync::Arc::new(environment.filesystem_with_cache(cache));
        let tasks = (0..8_u64).map(|reader| {
            let (filesystem, environment) = (filesystem.clone(), &environment);
            async move {
                let mut state = reader + 1;
                let mut next = |below: u64| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
                    (state >> 33) % below
                };
                for _ in 0..15 {
                    let name = ["nc", "h5", "zip", "bin"][next(4) as usize];
                    let number = next(5) as usize;
                    let (key, size) = (format!("d/{number}.{name}"), sizes[number]);
                    let object = environment.expected(&key);
                    let file = in_time(filesystem.number(&key)).await.unwrap();
                    let handle = filesystem.open(file).await.unwrap().handle;
                    let (habit, mut offset) = (next(4), next(size));
                    let step = 1 + next(3 * MIB);
                    for turn in 0..20 {
                        let length = 1 + next(200 * KIB);
                        offset = match habit {
                            0 => offset + length,
                            1 => turn * step,
                            2 => next(size),
                            _ => offset.saturating_sub(step),
                        };
                        let (start, end) = if next(2) == 0 {
                            (offset, offset + length)
                        } else {
                            (offset / 4096 * 4096, (offset + length).next_multiple_of(4096))
                        };
                        let read = filesystem.read(handle, start, (end - start) as u32);
                        if next(10) == 0 {
                            // Somebody who gives up.
                            drop(tokio::time::timeout(std::time::Duration::ZERO, read).await);
                            continue;
                        }
                        let bytes = in_time(read).await.unwrap().concat();
                        let expected = object.read(start.min(size)..end.min(size)).unwrap();
                        assert!(bytes == expected[..], "{key} {start}..{end}: {}", bytes.len());
                    }
                    filesystem.release(handle);
                }
            }
        });
        futures_util::future::join_all(tasks).await;
    }
}
