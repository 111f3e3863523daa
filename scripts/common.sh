# SPDX-License-Identifier: Apache-2.0
# Shared by the published scripts (run_train.sh, run_distribute_train.sh, run_eval.sh), which are started from this folder
# with the arguments, texts and folders of mindspore-ai/models, research/cv/GENet_Res50/scripts. They run the program genet.

get_real_path() {
    case $1 in
    /*) echo "$1" ;;
    *) realpath -m "$PWD/$1" ;;
    esac
}

fail() {
    echo "error: $*"
    exit 1
}

# The program: $GENET, the build beside this folder, or the one installed.
find_genet() {
    if [ -n "${GENET:-}" ]; then
        genet=$GENET
    elif [ -x ../build/release/cli/genet ]; then
        genet=$(realpath ../build/release/cli/genet)
    else
        genet=$(command -v genet) || fail "the program genet is neither in ../build/release/cli nor installed; run ../script/build, or set GENET"
    fi
}

# check_flag NAME VALUE: sets the variable to "true" or "false". The published code builds one network and trains another's
# schedule for anything else.
check_flag() {
    case $2 in
    [Tt][Rr][Uu][Ee]) eval "$1=true" ;;
    [Ff][Aa][Ll][Ss][Ee]) eval "$1=false" ;;
    *) fail "$1=$2 is neither true nor false" ;;
    esac
}

# The variant and its published configuration by MLP and EXTRA.
choose_variant() {
    case $EXTRA,$MLP in
    true,true) variant=theta-plus recipe=imagenet-theta-plus ;;
    true,false) variant=theta recipe=imagenet-theta ;;
    false,false) variant=theta-minus recipe=imagenet-theta-minus ;;
    false,true) variant=se recipe=imagenet-theta-minus ;;
    esac
    recipe=$(realpath "../recipes/$recipe.yaml")
}

# The run folder, wiped, with the environment noted in it.
make_folder() {
    rm -rf "./$1"
    mkdir "./$1" || exit 1
    env > "./$1/env.log"
}
