// SPDX-License-Identifier: Apache-2.0
package android.os;

public interface IBinder {
    int FIRST_CALL_TRANSACTION = 0x1;
    int LAST_CALL_TRANSACTION = 0xffffff;
    int INTERFACE_TRANSACTION = 0x5f4e5446;

    interface DeathRecipient {
        void binderDied();
    }

    IInterface queryLocalInterface(String descriptor);

    boolean transact(int code, Parcel data, Parcel reply, int flags) throws RemoteException;

    void linkToDeath(DeathRecipient recipient, int flags) throws RemoteException;
}
