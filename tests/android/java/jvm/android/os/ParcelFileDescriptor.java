// SPDX-License-Identifier: Apache-2.0
package android.os;

import java.io.Closeable;
import java.io.FileDescriptor;
import java.io.IOException;
import java.io.RandomAccessFile;

/** A file that is open for reading. */
public class ParcelFileDescriptor implements Parcelable, Closeable {
    public static final Creator<ParcelFileDescriptor> CREATOR = new Creator<>() {
        @Override
        public ParcelFileDescriptor createFromParcel(Parcel source) {
            throw new UnsupportedOperationException("a parcel here holds no descriptors");
        }

        @Override
        public ParcelFileDescriptor[] newArray(int size) {
            return new ParcelFileDescriptor[size];
        }
    };

    private final RandomAccessFile mFile;

    public ParcelFileDescriptor(RandomAccessFile file) {
        mFile = file;
    }

    public FileDescriptor getFileDescriptor() {
        try {
            return mFile.getFD();
        } catch (IOException e) {
            throw new IllegalStateException("already closed", e);
        }
    }

    @Override
    public void close() throws IOException {
        mFile.close();
    }

    @Override
    public int describeContents() {
        return CONTENTS_FILE_DESCRIPTOR;
    }

    @Override
    public void writeToParcel(Parcel target, int flags) {
        throw new UnsupportedOperationException("a parcel here holds no descriptors");
    }
}
