// SPDX-License-Identifier: Apache-2.0
package com.android.server.wakeupstats;

import android.os.Parcel;
import android.os.ParcelFileDescriptor;
import android.system.wakeupstats.WakeupSnapshot;

import com.google.gson.Gson;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.RandomAccessFile;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.HexFormat;
import java.util.Map;
import java.util.zip.GZIPInputStream;

/** What the service said to a client in the VM, as {@code cargo xtask record} has written it. */
final class Recording {
    /** What was asked for: the fields of a SnapshotQuery that are not as they are created. */
    record Query(long instance, long sinceSequence, long knownHandle) {}

    /**
     * One call.
     *
     * @param reply a WakeupSnapshot as a parcel, in hexadecimal digits.
     * @param file what came with it, likewise; or null.
     * @param wakelocks what it comes to by name, as summed up by the client in the VM.
     */
    record Step(
            Query query,
            boolean isIncremental,
            boolean isSysfs,
            String reply,
            String file,
            Map<String, KernelWakelock> wakelocks) {
        /** The reply, as Android's bindings read it. */
        WakeupSnapshot snapshot() throws IOException {
            byte[] bytes = HexFormat.of().parseHex(reply);
            Parcel parcel = Parcel.obtain();
            parcel.unmarshall(bytes, 0, bytes.length);
            parcel.setDataPosition(0);
            WakeupSnapshot snapshot = parcel.readTypedObject(WakeupSnapshot.CREATOR);
            parcel.enforceNoDataAvail();
            if (file != null) {
                snapshot.largeSources = open(HexFormat.of().parseHex(file));
            }
            return snapshot;
        }
    }

    private Recording() {}

    static Step[] load(String name) throws IOException {
        String path = "/tests/recordings/" + name + ".json.gz";
        try (InputStream file = Recording.class.getResourceAsStream(path);
                InputStream text = new GZIPInputStream(file);
                Reader reader = new InputStreamReader(text, StandardCharsets.UTF_8)) {
            return new Gson().fromJson(reader, Step[].class);
        }
    }

    /** A file of so many bytes, which take no room. */
    static ParcelFileDescriptor openZeros(long length) throws IOException {
        File path = File.createTempFile("wakeup-sources", null);
        try {
            RandomAccessFile file = new RandomAccessFile(path, "rw");
            file.setLength(length);
            return new ParcelFileDescriptor(file);
        } finally {
            path.delete();
        }
    }

    /** A file of these bytes, whose offset is at its end: it is shared with who wrote it. */
    static ParcelFileDescriptor open(byte[] bytes) throws IOException {
        File path = File.createTempFile("wakeup-sources", null);
        try {
            Files.write(path.toPath(), bytes);
            RandomAccessFile file = new RandomAccessFile(path, "r");
            file.seek(bytes.length);
            return new ParcelFileDescriptor(file);
        } finally {
            path.delete();
        }
    }
}
