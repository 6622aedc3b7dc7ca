# SPDX-License-Identifier: Apache-2.0
# What a product includes in its makefile to have the service:
#
#     include system/wakeupstats/wakeupstats.mk

PRODUCT_PACKAGES += \
    wakeupSources.bpf \
    wakeupstats \
    wakeupstatsd \

SYSTEM_EXT_PRIVATE_SEPOLICY_DIRS += system/wakeupstats/sepolicy/private

# Products that inherit generic_system.mk let others add to /system only what is named.
PRODUCT_ARTIFACT_PATH_REQUIREMENT_ALLOWED_LIST += \
    system/bin/wakeupstats \
    system/bin/wakeupstatsd \
    system/etc/bpf/wakeupstats/wakeupSources.bpf \
    system/etc/init/wakeupstatsd.rc \

# Where bpfloader does not know the program: a loader of our own, that the product has asked for before it
# includes this. Its domain may load BPF programs, which the policy of user builds leaves to bpfloader.
ifeq ($(WAKEUPSTATS_LOADER),true)
  ifneq ($(filter eng userdebug,$(TARGET_BUILD_VARIANT)),)
    PRODUCT_PACKAGES += wakeupstatsd-eng
    PRODUCT_ARTIFACT_PATH_REQUIREMENT_ALLOWED_LIST += \
        system/bin/wakeupstatsd-eng \
        system/etc/init/wakeupstatsd-load.rc \

    SYSTEM_EXT_PRIVATE_SEPOLICY_DIRS += system/wakeupstats/sepolicy/eng
  else
    $(error WAKEUPSTATS_LOADER is only for eng and userdebug builds)
  endif
endif
