// SPDX-License-Identifier: Apache-2.0
package com.android.server.wakeupstats;

/** The service sent what does not keep to the words of the AIDL. */
final class MalformedReplyException extends Exception {
    private static final long serialVersionUID = 1;

    MalformedReplyException(String message) {
        super(message);
    }

    MalformedReplyException(String message, Throwable cause) {
        super(message, cause);
    }
}
