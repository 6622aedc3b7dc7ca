// SPDX-License-Identifier: Apache-2.0
package com.android.server.wakeupstats;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;

import org.junit.Test;
import org.junit.runner.RunWith;
import org.junit.runners.JUnit4;

import java.io.IOException;
import java.util.Arrays;
import java.util.Map;

/** The reader, with what the service has said in the VM. */
@RunWith(JUnit4.class)
public class WakeupStatsReaderTest {
    /** The name of two sources, of which one goes while it is held. */
    private static final String TIMERFD = "[timerfd]";

    private static final Map<String, KernelWakelock> BY_SUSPEND =
            Map.of("rtc0", new KernelWakelock(3, 5_000, 0));

    /** What the reader finds when it looks for the service; null: nothing. */
    private FakeService mService = new FakeService();

    private int mFinds;
    private Map<String, KernelWakelock> mByFallback = BY_SUSPEND;

    private final WakeupStatsReader mReader =
            new WakeupStatsReader(
                    () -> {
                        mFinds++;
                        return mService;
                    },
                    () -> mByFallback);

    private void assertReads(Recording.Step... steps) {
        for (Recording.Step step : steps) {
            mService.answer(step);
            assertEquals(step.wakelocks(), mReader.read());
        }
    }

    @Test
    public void changesAddUpToWhatThereIs() throws IOException {
        Recording.Step[] steps = Recording.load("changes");
        assertReads(steps);
        for (int i = 0; i < steps.length; i++) {
            assertEquals("all but the first", i > 0, steps[i].isIncremental());
        }
        assertEquals("the service is looked for once", 1, mFinds);
    }

    @Test
    public void sourcesThatShareANameAreAddedUp() throws IOException {
        Recording.Step[] steps = Recording.load("changes");
        KernelWakelock two = steps[2].wakelocks().get("[eventfd]");
        // Two are held, one for 7 ms longer than the other: either alone has less than both.
        assertEquals(2, two.count());
        assertTrue(two.toString(), two.totalTimeUs() >= 3 * 7_000);
        assertEquals(two.totalTimeUs(), two.activeTimeUs());
    }

    @Test
    public void whatIsGoneStaysInTheSumOfItsName() throws IOException {
        Recording.Step[] steps = Recording.load("changes");
        KernelWakelock before = steps[5].wakelocks().get(TIMERFD);
        KernelWakelock after = steps[6].wakelocks().get(TIMERFD);
        assertTrue("it was held when it went", before.activeTimeUs() > 0);
        assertEquals(before.ended(), after);
        assertFalse("nobody has the name", steps[5].wakelocks().containsKey("fifo-5"));
    }

    @Test
    public void thousandsComeInAFile() throws IOException {
        Recording.Step[] steps = Recording.load("many");
        assertNotNull(steps[0].file());
        assertNull("what changed fits into a reply", steps[1].file());
        assertReads(steps);
    }

    @Test
    public void sumsGoOnAfterARestartOfTheService() throws IOException {
        for (boolean isTold : new boolean[] {true, false}) {
            WakeupStatsReader reader = new WakeupStatsReader(() -> mService, () -> mByFallback);
            mService = new FakeService();
            Recording.Step[] steps = Recording.load("restart");
            for (int i = 0; i < steps.length; i++) {
                if (i == 2) {
                    FakeService former = mService;
                    mService = new FakeService();
                    former.die(isTold);
                    assertFalse("of another instance", steps[i].isIncremental());
                }
                mService.answer(steps[i]);
                assertEquals(steps[i].wakelocks(), reader.read());
            }
        }
    }

    @Test
    public void wholeMillisecondsAreNoStepBack() throws IOException {
        Recording.Step[] steps = Recording.load("another-backend");
        assertReads(steps[0]);
        mService.die(true);
        mService = new FakeService();
        assertTrue(steps[1].isSysfs());
        assertReads(steps[1], steps[2]);
    }

    @Test
    public void withoutTheServiceTheFallbackAnswersUntilItIsBack() throws IOException {
        Recording.Step[] steps = Recording.load("another-backend");
        FakeService former = mService;
        assertReads(steps[0]);
        mService = null;
        former.die(true);

        assertEquals(BY_SUSPEND, mReader.read());
        assertEquals(BY_SUSPEND, mReader.read());

        mService = new FakeService();
        mService.answer(steps[1]);
        KernelWakelock rounded = mReader.read().get("[eventfd]");
        assertEquals(steps[1].wakelocks().get("[eventfd]").count(), rounded.count());
    }

    @Test
    public void whatIsGoneStaysInTheSumOfTheFallback() throws IOException {
        Recording.Step[] steps = Recording.load("restart");
        assertReads(steps[0], steps[1]);
        mService.die(true);
        mService = new FakeService();
        assertReads(steps[2]);
        mService.refuse(new SecurityException("no permission"));
        // One of two is left, which was never held.
        mByFallback = Map.of(TIMERFD, new KernelWakelock(0, 0, 0));

        assertEquals(Map.of(TIMERFD, steps[2].wakelocks().get(TIMERFD)), mReader.read());
        mByFallback = BY_SUSPEND;
        assertEquals("nobody has the name", BY_SUSPEND, mReader.read());

        mService.refuse(null);
        assertReads(steps[3]);
    }

    @Test
    public void whatGoesWhileTheFallbackAnswersIsNotInTheNextSum() throws IOException {
        Recording.Step[] steps = Recording.load("restart");
        FakeService former = mService;
        assertReads(steps[0], steps[1]);
        mService = null;
        former.die(true);
        // BatteryStats starts over with what is left. What is gone would be new to it.
        mByFallback = Map.of(TIMERFD, new KernelWakelock(0, 0, 0));
        assertEquals(mByFallback, mReader.read());

        mService = new FakeService();
        for (int i = 2; i < steps.length; i++) {
            mService.answer(steps[i]);
            assertEquals(new KernelWakelock(0, 0, 0), mReader.read().get(TIMERFD));
        }
    }

    @Test
    public void aServiceThatIsFoundDeadIsNoService() {
        mService.die(false);
        assertEquals(BY_SUSPEND, mReader.read());
    }

    @Test
    public void whatTheServiceRefusesTheFallbackAnswers() throws IOException {
        Recording.Step[] steps = Recording.load("changes");
        assertReads(steps[0]);
        mService.refuse(new SecurityException("no permission"));

        assertEquals(BY_SUSPEND, mReader.read());

        mService.refuse(null);
        assertReads(Arrays.copyOfRange(steps, 1, steps.length));
        assertEquals("it is the same service", 1, mFinds);
    }

    @Test
    public void aFallbackThatFailsIsNull() {
        mService = null;
        mByFallback = null;
        assertNull(mReader.read());
    }

    @Test
    public void theFallbackMayBeginAnewButNotFallShort() {
        mService = null;
        mByFallback = Map.of("a", new KernelWakelock(2, 5_900, 0));
        mReader.read();

        mByFallback = Map.of("a", new KernelWakelock(2, 5_000, 0));
        assertEquals(5_900, mReader.read().get("a").totalTimeUs());

        mByFallback = Map.of("a", new KernelWakelock(1, 3_000, 0));
        assertEquals(3_000, mReader.read().get("a").totalTimeUs());
    }
}
