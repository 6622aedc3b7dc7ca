// SPDX-License-Identifier: Apache-2.0
package android.os;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.function.IntFunction;

/**
 * Bytes in the layout of Android's parcels (libs/binder/Parcel.cpp): all in units of
 * four bytes, little endian; arrays after their length, strings in UTF-16 with a zero at their end.
 */
public final class Parcel {
    private static final int ABSENT = -1;

    private ByteBuffer mBytes = allocate(64);
    private int mSize;

    private Parcel() {}

    private static ByteBuffer allocate(int size) {
        return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
    }

    public static Parcel obtain() {
        return new Parcel();
    }

    public static Parcel obtain(IBinder target) {
        return new Parcel();
    }

    public void recycle() {}

    public byte[] marshall() {
        return Arrays.copyOf(mBytes.array(), mSize);
    }

    public void unmarshall(byte[] data, int offset, int length) {
        mBytes = allocate(length).put(data, offset, length);
        mSize = length;
    }

    public int dataPosition() {
        return mBytes.position();
    }

    public void setDataPosition(int position) {
        mBytes.position(position);
    }

    public void enforceNoDataAvail() {
        if (dataPosition() != mSize) {
            throw new BadParcelableException("there is more in the parcel");
        }
    }

    public void writeInt(int value) {
        room(Integer.BYTES).putInt(value);
    }

    public int readInt() {
        return left(Integer.BYTES) ? mBytes.getInt() : 0;
    }

    public void writeLong(long value) {
        room(Long.BYTES).putLong(value);
    }

    public long readLong() {
        return left(Long.BYTES) ? mBytes.getLong() : 0;
    }

    public void writeBoolean(boolean value) {
        writeInt(value ? 1 : 0);
    }

    public boolean readBoolean() {
        return readInt() != 0;
    }

    public void writeString(String value) {
        if (writeLength(value == null, value == null ? 0 : value.length())) {
            writePadded((value + '\0').getBytes(StandardCharsets.UTF_16LE));
        }
    }

    public String readString() {
        int length = readInt();
        if (length == ABSENT) {
            return null;
        }
        byte[] units = readPadded(Character.BYTES * (length + 1));
        return new String(units, 0, Character.BYTES * length, StandardCharsets.UTF_16LE);
    }

    public void writeByteArray(byte[] values) {
        if (writeLength(values == null, values == null ? 0 : values.length)) {
            writePadded(values);
        }
    }

    public byte[] createByteArray() {
        int length = readInt();
        return length == ABSENT ? null : readPadded(length);
    }

    public void writeIntArray(int[] values) {
        if (writeLength(values == null, values == null ? 0 : values.length)) {
            Arrays.stream(values).forEach(this::writeInt);
        }
    }

    public int[] createIntArray() {
        int length = readLength(Integer.BYTES);
        int[] values = length == ABSENT ? null : new int[length];
        for (int i = 0; i < length; i++) {
            values[i] = readInt();
        }
        return values;
    }

    public void writeLongArray(long[] values) {
        if (writeLength(values == null, values == null ? 0 : values.length)) {
            Arrays.stream(values).forEach(this::writeLong);
        }
    }

    public long[] createLongArray() {
        int length = readLength(Long.BYTES);
        long[] values = length == ABSENT ? null : new long[length];
        for (int i = 0; i < length; i++) {
            values[i] = readLong();
        }
        return values;
    }

    public void writeStringArray(String[] values) {
        if (writeLength(values == null, values == null ? 0 : values.length)) {
            Arrays.stream(values).forEach(this::writeString);
        }
    }

    public String[] createStringArray() {
        return createArray(String[]::new, this::readString);
    }

    public <T extends Parcelable> void writeTypedArray(T[] values, int flags) {
        if (writeLength(values == null, values == null ? 0 : values.length)) {
            Arrays.stream(values).forEach(value -> writeTypedObject(value, flags));
        }
    }

    public <T> T[] createTypedArray(Parcelable.Creator<T> creator) {
        return createArray(creator::newArray, () -> readTypedObject(creator));
    }

    public <T extends Parcelable> void writeTypedObject(T value, int flags) {
        writeInt(value == null ? 0 : 1);
        if (value != null) {
            value.writeToParcel(this, flags);
        }
    }

    public <T> T readTypedObject(Parcelable.Creator<T> creator) {
        return readInt() == 0 ? null : creator.createFromParcel(this);
    }

    public void writeInterfaceToken(String descriptor) {
        writeString(descriptor);
    }

    public void enforceInterface(String descriptor) {
        if (!descriptor.equals(readString())) {
            throw new SecurityException("a call of another interface than " + descriptor);
        }
    }

    public void writeNoException() {
        writeInt(0);
    }

    public void readException() {
        int code = readInt();
        if (code != 0) {
            throw new IllegalStateException("exception " + code);
        }
    }

    /** Whether elements are to follow. */
    private boolean writeLength(boolean isAbsent, int length) {
        writeInt(isAbsent ? ABSENT : length);
        return !isAbsent;
    }

    /** No more than there can be. */
    private int readLength(int elementBytes) {
        int length = readInt();
        if (length > (mSize - dataPosition()) / elementBytes) {
            throw new BadParcelableException("no room for " + length + " elements");
        }
        return length;
    }

    private <T> T[] createArray(IntFunction<T[]> maker, java.util.function.Supplier<T> reader) {
        int length = readLength(Integer.BYTES);
        T[] values = length == ABSENT ? null : maker.apply(length);
        for (int i = 0; i < length; i++) {
            values[i] = reader.get();
        }
        return values;
    }

    private void writePadded(byte[] bytes) {
        room(padded(bytes.length)).put(bytes).put(new byte[padded(bytes.length) - bytes.length]);
    }

    private byte[] readPadded(int length) {
        if (length < 0 || !left(padded(length))) {
            throw new BadParcelableException("no room for " + length + " bytes");
        }
        int end = dataPosition() + padded(length);
        byte[] bytes = new byte[length];
        mBytes.get(bytes);
        setDataPosition(end);
        return bytes;
    }

    private static int padded(int length) {
        return (length + 3) & ~3;
    }

    private boolean left(int bytes) {
        return mSize - dataPosition() >= bytes;
    }

    /** The bytes, of which there are so many more then. */
    private ByteBuffer room(int bytes) {
        int end = dataPosition() + bytes;
        if (end > mBytes.capacity()) {
            mBytes = allocate(2 * end).put(mBytes.array(), 0, mSize).position(end - bytes);
        }
        mSize = Math.max(mSize, end);
        return mBytes;
    }
}
