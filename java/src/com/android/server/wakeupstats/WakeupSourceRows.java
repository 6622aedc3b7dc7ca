// SPDX-License-Identifier: Apache-2.0
package com.android.server.wakeupstats;

import android.os.Parcel;
import android.os.ParcelFileDescriptor;
import android.system.wakeupstats.WakeupSnapshot;
import android.system.wakeupstats.WakeupSources;

import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** From a reply's columns, which are in it or in a file that came with it, to rows. */
final class WakeupSourceRows {
    /** The largest file that the service writes. Bytes. */
    private static final int MAX_FILE_BYTES = 64 << 20;

    /** Instead of a name's length: the client has the name. */
    private static final int KNOWN = -1;

    private WakeupSourceRows() {}

    /** The rows of a reply, whose file is closed then. */
    static List<WakeupSource> of(WakeupSnapshot snapshot) throws MalformedReplyException {
        return snapshot.largeSources == null
                ? rows(snapshot.sources)
                : rows(unparcel(read(snapshot.largeSources)));
    }

    private static byte[] read(ParcelFileDescriptor file) throws MalformedReplyException {
        try (file) {
            return readAll(file.getFileDescriptor());
        } catch (IOException e) {
            throw new MalformedReplyException("the file with the sources can't be read", e);
        }
    }

    /** From offset 0: the file's own is shared with whoever has another descriptor of it. */
    private static byte[] readAll(FileDescriptor file) throws IOException, MalformedReplyException {
        // The stream does not own the descriptor, and there is nothing else to close.
        FileChannel channel = new FileInputStream(file).getChannel();
        long size = channel.size();
        if (size > MAX_FILE_BYTES) {
            throw new MalformedReplyException("the file with the sources has " + size + " bytes");
        }
        ByteBuffer bytes = ByteBuffer.allocate((int) size);
        while (bytes.hasRemaining()) {
            if (channel.read(bytes, bytes.position()) < 0) {
                throw new IOException("the file ends after " + bytes.position() + " bytes");
            }
        }
        return bytes.array();
    }

    private static WakeupSources unparcel(byte[] bytes) throws MalformedReplyException {
        Parcel parcel = Parcel.obtain();
        try {
            parcel.unmarshall(bytes, 0, bytes.length);
            parcel.setDataPosition(0);
            WakeupSources sources = parcel.readTypedObject(WakeupSources.CREATOR);
            if (sources == null) {
                throw new MalformedReplyException("the file with the sources has none");
            }
            return sources;
        } finally {
            parcel.recycle();
        }
    }

    private static List<WakeupSource> rows(WakeupSources columns) throws MalformedReplyException {
        int length = columns.handles.length;
        if (!fits(columns.ids.length, length)
                || !fits(columns.activeCounts.length, length)
                || !fits(columns.totalTimesNs.length, length)
                || !fits(columns.activeTimesNs.length, length)
                || !fits(columns.nameLengths.length, length)
                || !fits(columns.deviceLengths.length, length)) {
            throw new MalformedReplyException("the columns have not the same length");
        }
        List<WakeupSource> rows = new ArrayList<>(length);
        int end = 0;
        for (int i = 0; i < length; i++) {
            int nameLength = at(columns.nameLengths, i);
            int deviceLength = at(columns.deviceLengths, i);
            String name = null;
            if (nameLength != KNOWN) {
                int begin = end;
                // The device's name, which BatteryStats has no use for, follows the source's.
                end = after(after(begin, nameLength, columns.names), deviceLength, columns.names);
                name = new String(columns.names, begin, nameLength, StandardCharsets.UTF_8);
            } else if (deviceLength != KNOWN) {
                throw new MalformedReplyException("a device has a name where its source has none");
            }
            rows.add(
                    new WakeupSource(
                            columns.handles[i],
                            at(columns.ids, i),
                            name,
                            at(columns.activeCounts, i),
                            at(columns.totalTimesNs, i),
                            at(columns.activeTimesNs, i)));
        }
        if (end != columns.names.length) {
            throw new MalformedReplyException("there are more names than sources");
        }
        return rows;
    }

    /** A column has all elements, or none, which stands for zeros. */
    private static boolean fits(int columnLength, int length) {
        return columnLength == 0 || columnLength == length;
    }

    private static int at(int[] column, int index) {
        return column.length == 0 ? 0 : column[index];
    }

    private static long at(long[] column, int index) {
        return column.length == 0 ? 0 : column[index];
    }

    /** Where a name ends that begins there. */
    private static int after(int begin, int nameLength, byte[] names)
            throws MalformedReplyException {
        if (nameLength < 0 || nameLength > names.length - begin) {
            throw new MalformedReplyException("the names do not fit their lengths");
        }
        return begin + nameLength;
    }
}
