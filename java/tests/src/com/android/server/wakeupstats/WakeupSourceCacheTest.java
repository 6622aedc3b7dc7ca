// SPDX-License-Identifier: Apache-2.0
package com.android.server.wakeupstats;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertThrows;

import android.os.Parcel;
import android.system.wakeupstats.SnapshotBackend;
import android.system.wakeupstats.WakeupSnapshot;
import android.system.wakeupstats.WakeupSources;

import org.junit.Test;
import org.junit.runner.RunWith;
import org.junit.runners.JUnit4;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import java.util.function.Consumer;

/** What the VM does not bring about when it is told to, and what no service of ours sends. */
@RunWith(JUnit4.class)
public class WakeupSourceCacheTest {
    private static final long INSTANCE = 1;
    private static final long ANOTHER = 2;

    private final WakeupSourceCache mCache = new WakeupSourceCache();

    private static WakeupSource source(long handle, int id, long count, long totalMs) {
        return new WakeupSource(handle, id, "a", count, totalMs * 1_000_000, 0);
    }

    private static WakeupSnapshot pinned(long instance, WakeupSource... sources) {
        return full(instance, SnapshotBackend.PINNED, sources);
    }

    private static WakeupSnapshot sysfs(long instance, WakeupSource... sources) {
        return full(instance, SnapshotBackend.SYSFS, sources);
    }

    private static WakeupSnapshot full(long instance, int backend, WakeupSource... sources) {
        WakeupSnapshot snapshot = new WakeupSnapshot();
        snapshot.instance = instance;
        snapshot.sequence = 1;
        snapshot.backend = backend;
        snapshot.complete = true;
        snapshot.goneHandles = new long[0];
        snapshot.sources = columns(sources);
        return snapshot;
    }

    private static WakeupSources columns(WakeupSource... sources) {
        WakeupSources columns = new WakeupSources();
        columns.handles = Arrays.stream(sources).mapToLong(WakeupSource::handle).toArray();
        columns.ids = Arrays.stream(sources).mapToInt(WakeupSource::id).toArray();
        columns.flags = new byte[0];
        columns.activeCounts =
                Arrays.stream(sources).mapToLong(WakeupSource::activeCount).toArray();
        columns.eventCounts = new long[0];
        columns.wakeupCounts = new long[0];
        columns.expireCounts = new long[0];
        columns.relaxCounts = new long[0];
        columns.activeTimesNs = new long[0];
        columns.totalTimesNs =
                Arrays.stream(sources).mapToLong(WakeupSource::totalTimeNs).toArray();
        columns.maxTimesNs = new long[0];
        columns.lastChangesNs = new long[0];
        columns.preventSuspendTimesNs = new long[0];
        columns.names = "a".repeat(sources.length).getBytes(StandardCharsets.UTF_8);
        columns.nameLengths = Arrays.stream(sources).mapToInt(source -> 1).toArray();
        columns.deviceLengths = new int[0];
        return columns;
    }

    private void assertSum(int count, long totalMs) {
        Map<String, KernelWakelock> expected =
                Map.of("a", new KernelWakelock(count, totalMs * 1_000, 0));
        assertEquals(expected, mCache.wakelocks());
    }

    @Test
    public void aSourceThatSysfsDoesNotShowIsCountedOnceWhenItIsBack()
            throws MalformedReplyException {
        mCache.apply(pinned(INSTANCE, source(1, 0, 1, 10), source(2, 1, 2, 5)));
        mCache.apply(sysfs(INSTANCE, source(1, 0, 1, 10)));
        assertSum(3, 15);
        mCache.apply(pinned(INSTANCE, source(1, 0, 1, 10), source(3, 1, 4, 9)));
        assertSum(5, 19);
    }

    @Test
    public void aSourceWhoseIdAnotherHasIsGoneAlsoFromSysfs() throws MalformedReplyException {
        mCache.apply(sysfs(INSTANCE, source(1, 0, 1, 10), source(2, 1, 2, 5)));
        mCache.apply(sysfs(INSTANCE, source(1, 0, 1, 10), source(3, 1, 1, 1)));
        assertSum(4, 16);
        mCache.apply(sysfs(INSTANCE, source(1, 0, 1, 10), source(3, 1, 2, 7)));
        assertSum(5, 22);
        mCache.apply(sysfs(INSTANCE, source(1, 0, 1, 10), source(4, 1, 1, 2)));
        assertSum(6, 24);
    }

    @Test
    public void aUsedIdIsAnotherSourceThoughItsCountIsNoLower() throws MalformedReplyException {
        mCache.apply(pinned(INSTANCE, source(1, 0, 1, 10), source(2, 1, 1, 5)));
        mCache.apply(pinned(INSTANCE, source(1, 0, 1, 10), source(3, 1, 1, 6)));
        assertSum(3, 21);
    }

    @Test
    public void whatWentDuringARestartStaysInTheSum() throws MalformedReplyException {
        mCache.apply(pinned(INSTANCE, source(1, 0, 4, 10), source(2, 1, 2, 5)));
        // Its id is used, by one that has been active less.
        mCache.apply(pinned(ANOTHER, source(1, 0, 4, 10), source(2, 1, 1, 1)));
        assertSum(7, 16);
    }

    @Test
    public void aNameBeginsAnewWhenNobodyHasHadIt() throws MalformedReplyException {
        mCache.apply(pinned(INSTANCE, source(1, 0, 4, 10)));
        mCache.apply(pinned(INSTANCE));
        assertEquals(Map.of(), mCache.wakelocks());
        mCache.apply(pinned(INSTANCE, source(2, 0, 1, 1)));
        assertSum(1, 1);
    }

    @Test
    public void countsEndWhereBatteryStatsDoes() throws MalformedReplyException {
        long most = Integer.MAX_VALUE;
        mCache.apply(pinned(INSTANCE, source(1, 0, most, 1), source(2, 1, 5, 1)));
        assertSum(Integer.MAX_VALUE, 2);
    }

    @Test
    public void aMalformedReplyChangesNothingAndTheNextOneIsFull() throws MalformedReplyException {
        Map<String, Consumer<WakeupSources>> spoilt =
                Map.of(
                        "a short column", it -> it.activeCounts = new long[1],
                        "a long column", it -> it.totalTimesNs = new long[3],
                        "a name that is not known", it -> spoilNames(it, new int[] {-1, 1}, "a"),
                        "more names", it -> it.names = new byte[3],
                        "fewer names", it -> it.names = new byte[1],
                        "a negative length", it -> it.nameLengths = new int[] {-2, 1},
                        "a name of all bytes", it -> it.nameLengths = new int[] {3, -1},
                        "no column at all", it -> it.ids = null);
        for (Map.Entry<String, Consumer<WakeupSources>> spoil : spoilt.entrySet()) {
            mCache.apply(pinned(INSTANCE, source(1, 0, 1, 3)));
            WakeupSnapshot reply = pinned(INSTANCE, source(8, 0, 1, 3), source(9, 1, 1, 1));
            spoil.getValue().accept(reply.sources);

            assertThrows(spoil.getKey(), Exception.class, () -> mCache.apply(reply));

            assertSum(1, 3);
            assertEquals(spoil.getKey(), 0, mCache.query().sinceSequence);
            assertEquals(spoil.getKey(), 0, mCache.query().knownHandle);
        }
    }

    private static void spoilNames(WakeupSources sources, int[] lengths, String names) {
        sources.nameLengths = lengths;
        sources.deviceLengths = new int[] {-1, 0};
        sources.names = names.getBytes(StandardCharsets.UTF_8);
    }

    @Test
    public void aChangeOfWhatWasNeverThereIsMalformed() throws IOException {
        Parcel columns = Parcel.obtain();
        columns.writeTypedObject(columns(source(1, 0, 1, 3)), 0);
        WakeupSnapshot reply = pinned(INSTANCE);
        reply.incremental = true;
        reply.largeSources = Recording.open(columns.marshall());
        assertThrows(MalformedReplyException.class, () -> mCache.apply(reply));
        assertFalse("closed", reply.largeSources.getFileDescriptor().valid());
    }

    @Test
    public void aFileThatNoServiceWritesIsNotRead() throws IOException {
        WakeupSnapshot reply = pinned(INSTANCE);
        reply.largeSources = Recording.openZeros((64 << 20) + 1);
        Exception refusal =
                assertThrows(MalformedReplyException.class, () -> mCache.apply(reply));
        assertEquals("the file with the sources has 67108865 bytes", refusal.getMessage());
    }

    @Test
    public void aFileWithoutSourcesIsMalformed() throws IOException {
        Parcel none = Parcel.obtain();
        none.writeTypedObject((WakeupSources) null, 0);
        Parcel columns = Parcel.obtain();
        columns.writeTypedObject(columns(source(1, 0, 1, 3)), 0);
        byte[] cut = Arrays.copyOf(columns.marshall(), columns.marshall().length / 2);

        for (byte[] bytes : new byte[][] {none.marshall(), cut, new byte[0]}) {
            WakeupSnapshot reply = pinned(INSTANCE);
            reply.largeSources = Recording.open(bytes);
            assertThrows(Exception.class, () -> mCache.apply(reply));
            assertFalse("closed", reply.largeSources.getFileDescriptor().valid());
        }
    }
}
