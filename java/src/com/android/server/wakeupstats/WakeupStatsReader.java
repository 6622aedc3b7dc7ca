// SPDX-License-Identifier: Apache-2.0
package com.android.server.wakeupstats;

import android.os.DeadObjectException;
import android.os.IBinder;
import android.os.RemoteException;
import android.os.ServiceManager;
import android.system.wakeupstats.IWakeupStats;
import android.util.Slog;

import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Supplier;

/**
 * Reads the kernel's wakelocks, which it calls wakeup sources, from wakeupstatsd: all of one
 * moment, to the microsecond, and none lost that shares its name with another.
 *
 * <p>The first call gets everything, each further one what changed. Where the service can't be had,
 * for this call or for good, the reader of today answers; the next call looks for it again.
 */
public final class WakeupStatsReader {
    private static final String TAG = "WakeupStatsReader";

    private static final String SERVICE_NAME = "wakeupstats";

    /** If the service is found dead, another may be there already. */
    private static final int ATTEMPTS = 2;

    private final Supplier<IBinder> mFinder;
    private final Supplier<Map<String, KernelWakelock>> mFallback;
    private final WakeupSourceCache mCache = new WakeupSourceCache();

    /** Null where none is known. A binder thread lets go of it too, and must not wait for reads. */
    private final AtomicReference<IWakeupStats> mService = new AtomicReference<>();

    private Map<String, KernelWakelock> mLast = Map.of();
    private boolean mIsFallback;

    /**
     * A reader that has asked nobody yet.
     *
     * @param fallback reads the same in another way, with a {@link KernelWakelocks} to lose none;
     *     it may return null, if that fails too.
     */
    public WakeupStatsReader(Supplier<Map<String, KernelWakelock>> fallback) {
        this(() -> ServiceManager.checkService(SERVICE_NAME), fallback);
    }

    WakeupStatsReader(
            Supplier<IBinder> finder, Supplier<Map<String, KernelWakelock>> fallback) {
        mFinder = finder;
        mFallback = fallback;
    }

    /**
     * The wakelocks as they are now, by name; null if neither the service nor the fallback can say.
     * A name's time is never less than in the last map, unless its count is.
     */
    public synchronized Map<String, KernelWakelock> read() {
        Map<String, KernelWakelock> now = readFromService();
        noteFallback(now == null);
        if (now == null) {
            Map<String, KernelWakelock> others = mFallback.get();
            if (others == null) {
                return null;
            }
            now = mCache.goOn(others);
        }
        Map<String, KernelWakelock> rising = new HashMap<>(now);
        rising.replaceAll(
                (name, wakelock) -> wakelock.noLessThan(mLast.getOrDefault(name, wakelock)));
        mLast = Collections.unmodifiableMap(rising);
        return mLast;
    }

    /** Null if it can't be done. */
    private Map<String, KernelWakelock> readFromService() {
        for (int attempt = 1; attempt <= ATTEMPTS; attempt++) {
            IWakeupStats service = service();
            if (service == null) {
                return null;
            }
            try {
                mCache.apply(service.getSnapshot(mCache.query()));
                return mCache.wakelocks();
            } catch (DeadObjectException e) {
                mService.compareAndSet(service, null);
            } catch (RemoteException | MalformedReplyException | RuntimeException e) {
                // Binder makes a RuntimeException of what a service refuses, and of a bad parcel.
                Slog.w(TAG, SERVICE_NAME + " can't be read", e);
                return null;
            }
        }
        return null;
    }

    /** The service, if it is there. */
    private IWakeupStats service() {
        IWakeupStats known = mService.get();
        if (known != null) {
            return known;
        }
        IBinder binder = mFinder.get();
        IWakeupStats service = IWakeupStats.Stub.asInterface(binder);
        if (service == null) {
            return null;
        }
        // Before the link to death, which may call at once.
        mService.set(service);
        try {
            binder.linkToDeath(() -> mService.compareAndSet(service, null), 0);
        } catch (RemoteException e) {
            mService.compareAndSet(service, null);
            return null;
        }
        return service;
    }

    private void noteFallback(boolean isFallback) {
        if (isFallback != mIsFallback) {
            Slog.i(TAG, isFallback ? "without " + SERVICE_NAME : SERVICE_NAME + " is back");
        }
        mIsFallback = isFallback;
    }
}
