// SPDX-License-Identifier: Apache-2.0
package com.android.server.wakeupstats;

import android.system.wakeupstats.SnapshotBackend;
import android.system.wakeupstats.SnapshotQuery;
import android.system.wakeupstats.WakeupSnapshot;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A copy of the kernel's wakeup sources, kept up to date by what changed, and what they come to by
 * name.
 *
 * <p>What a name comes to never falls while any source has it. The kernel's counters only rise,
 * also across restarts of the service, which has none of its own; but a sum over sources falls when
 * one of them goes. So what a source had is kept for as long as others have its name.
 */
final class WakeupSourceCache {
    private long mInstance;
    private long mSequence;
    private long mKnownHandle;

    /** The sources as of the last reply, by handle. */
    private Map<Long, WakeupSource> mSources = new HashMap<>();

    /**
     * By id, sources that the last reply did not have but that may be there: sysfs shows no source
     * without a device of its own, and leaves out what it may not read.
     */
    private Map<Integer, WakeupSource> mUnseen = new HashMap<>();

    /** By name, what those had that are gone. */
    private Map<String, KernelWakelock> mGone = new HashMap<>();

    /** Whether the caller has had {@link #goOn} since the last reply. */
    private boolean mWentOn;

    /** What to ask the service for next. */
    SnapshotQuery query() {
        SnapshotQuery query = new SnapshotQuery();
        query.instance = mInstance;
        query.sinceSequence = mSequence;
        query.knownHandle = mKnownHandle;
        return query;
    }

    /**
     * Takes in the reply to {@link #query()}. If it is malformed all stays as it was, but the next
     * query asks for everything.
     */
    void apply(WakeupSnapshot snapshot) throws MalformedReplyException {
        boolean isSameInstance = snapshot.instance == mInstance;
        long knownHandle = isSameInstance ? mKnownHandle : 0;
        mInstance = 0;
        mSequence = 0;
        mKnownHandle = 0;
        // First of all, as this closes the file.
        List<WakeupSource> rows = WakeupSourceRows.of(snapshot);
        if (snapshot.incremental && !isSameInstance) {
            throw new MalformedReplyException("a change of what was never there");
        }

        Map<Long, WakeupSource> former = isSameInstance ? mSources : Map.of();
        Map<Long, WakeupSource> sources = new HashMap<>();
        if (snapshot.incremental) {
            sources.putAll(former);
        }
        for (long handle : snapshot.goneHandles) {
            sources.remove(handle);
        }
        for (WakeupSource row : rows) {
            WakeupSource source = row.name() == null ? withKnownName(row, former) : row;
            sources.put(source.handle(), source);
            knownHandle = Math.max(knownHandle, source.handle());
        }
        part(former, sources, snapshot.complete && snapshot.backend != SnapshotBackend.SYSFS);

        mWentOn = false;
        mSources = sources;
        mInstance = snapshot.instance;
        mSequence = snapshot.sequence;
        mKnownHandle = knownHandle;
    }

    private static WakeupSource withKnownName(WakeupSource row, Map<Long, WakeupSource> former)
            throws MalformedReplyException {
        WakeupSource known = former.get(row.handle());
        if (known == null) {
            throw new MalformedReplyException(
                    "handle " + row.handle() + " came without a name, and has none from before");
        }
        return row.named(known.name());
    }

    /**
     * Takes leave of sources that were there and are not in {@code sources}. Those of this instance
     * are {@code former}.
     */
    private void part(
            Map<Long, WakeupSource> former, Map<Long, WakeupSource> sources, boolean sawAll) {
        // Those that may be there again with another handle: of another instance all are, ...
        Map<Integer, WakeupSource> missing = new HashMap<>(mUnseen);
        for (WakeupSource source : mSources.values()) {
            if (!former.containsKey(source.handle())) {
                missing.put(source.id(), source);
            }
        }
        Set<Integer> ids = new HashSet<>();
        Set<String> names = new HashSet<>();
        for (WakeupSource source : sources.values()) {
            ids.add(source.id());
            names.add(source.name());
            WakeupSource before = missing.get(source.id());
            boolean isNew = !former.containsKey(source.handle());
            if (before != null && isNew && source.continues(before)) {
                missing.remove(source.id());
            }
        }
        // ... and of this one none that was there a reply ago.
        for (WakeupSource source : former.values()) {
            if (!sources.containsKey(source.handle())) {
                missing.put(source.id(), source);
            }
        }
        Map<Integer, WakeupSource> unseen = new HashMap<>();
        for (WakeupSource source : missing.values()) {
            if (mWentOn && source.equals(mSources.get(source.handle()))) {
                // The sums have been without it since.
                continue;
            }
            if (sawAll || ids.contains(source.id())) {
                mGone.merge(source.name(), source.wakelock().ended(), KernelWakelock::plus);
            } else if (names.contains(source.name())) {
                unseen.put(source.id(), source);
            }
        }
        mUnseen = unseen;
        mGone.keySet().retainAll(names);
    }

    /** What the sources come to, by name. */
    Map<String, KernelWakelock> wakelocks() {
        KernelWakelocks wakelocks = new KernelWakelocks();
        mSources.values().forEach(source -> wakelocks.add(source.name(), source.wakelock()));
        addMissing(wakelocks);
        return wakelocks.byName();
    }

    /**
     * What others say of the sources that are there now, so that the sums go on: with what the last
     * reply had of those that are not.
     */
    Map<String, KernelWakelock> goOn(Map<String, KernelWakelock> others) {
        mWentOn = true;
        KernelWakelocks wakelocks = new KernelWakelocks();
        others.forEach(wakelocks::add);
        addMissing(wakelocks);
        return wakelocks.byName();
    }

    /** Adds what those had that are gone or unseen, to the names that are there. */
    private void addMissing(KernelWakelocks wakelocks) {
        mGone.forEach(wakelocks::addTo);
        mUnseen.values().forEach(
                source -> wakelocks.addTo(source.name(), source.wakelock().ended()));
    }
}
