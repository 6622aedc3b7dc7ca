// SPDX-License-Identifier: Apache-2.0
package com.android.server.wakeupstats;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;

import android.os.DeadObjectException;
import android.os.IBinder;
import android.os.RemoteException;
import android.system.wakeupstats.IWakeupStats;
import android.system.wakeupstats.ServiceStatus;
import android.system.wakeupstats.SnapshotQuery;
import android.system.wakeupstats.WakeupSnapshot;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/** A life of the service, which answers what it has been told to, and dies when it is told to. */
final class FakeService extends IWakeupStats.Stub {
    private final Deque<Recording.Step> mSteps = new ArrayDeque<>();
    private final List<DeathRecipient> mRecipients = new ArrayList<>();
    private RuntimeException mRefusal;
    private boolean mIsDead;
    private boolean mIsKnownDead;

    /** Answers the next query so. It must be the one that was asked in the VM. */
    void answer(Recording.Step step) {
        mSteps.add(step);
    }

    /** Refuses all queries from now on; null: no more. */
    void refuse(RuntimeException refusal) {
        mRefusal = refusal;
    }

    /** Dies, and says so to whoever wants to know, if they are told in time. */
    void die(boolean isTold) {
        mIsDead = true;
        mIsKnownDead = isTold;
        if (isTold) {
            mRecipients.forEach(DeathRecipient::binderDied);
        }
    }

    @Override
    public void linkToDeath(DeathRecipient recipient, int flags) throws RemoteException {
        if (mIsDead) {
            throw new DeadObjectException();
        }
        mRecipients.add(recipient);
    }

    @Override
    public WakeupSnapshot getSnapshot(SnapshotQuery query) throws RemoteException {
        assertFalse("called after its death was told", mIsKnownDead);
        if (mIsDead) {
            throw new DeadObjectException();
        }
        if (mRefusal != null) {
            throw mRefusal;
        }
        Recording.Step step = mSteps.remove();
        assertEquals(
                step.query(),
                new Recording.Query(query.instance, query.sinceSequence, query.knownHandle));
        try {
            return step.snapshot();
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    @Override
    public ServiceStatus getStatus() {
        throw new AssertionError("nobody asks for it");
    }

    @Override
    public IBinder asBinder() {
        return this;
    }

    @Override
    public int getInterfaceVersion() {
        return VERSION;
    }

    @Override
    public String getInterfaceHash() {
        return HASH;
    }
}
