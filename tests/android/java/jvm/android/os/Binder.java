// SPDX-License-Identifier: Apache-2.0
package android.os;

/** One that all calls reach without a driver, in this process. It does not die by itself. */
public class Binder implements IBinder {
    private IInterface mOwner;

    public void attachInterface(IInterface owner, String descriptor) {
        mOwner = owner;
    }

    @Override
    public IInterface queryLocalInterface(String descriptor) {
        return mOwner;
    }

    @Override
    public boolean transact(int code, Parcel data, Parcel reply, int flags) throws RemoteException {
        return onTransact(code, data, reply, flags);
    }

    protected boolean onTransact(int code, Parcel data, Parcel reply, int flags)
            throws RemoteException {
        return false;
    }

    @Override
    public void linkToDeath(DeathRecipient recipient, int flags) throws RemoteException {}
}
