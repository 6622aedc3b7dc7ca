// SPDX-License-Identifier: Apache-2.0
package android.os;

public interface Parcelable {
    int PARCELABLE_WRITE_RETURN_VALUE = 0x1;
    int CONTENTS_FILE_DESCRIPTOR = 0x1;

    interface Creator<T> {
        T createFromParcel(Parcel source);

        T[] newArray(int size);
    }

    int describeContents();

    void writeToParcel(Parcel target, int flags);
}
